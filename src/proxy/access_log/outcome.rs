//! The outcome of a request for its access log line.

use std::time::Duration;

use http::{HeaderValue, StatusCode};

use crate::traces::TraceId;

/// Logged status of a request whose client left before there was a response, as in nginx.
const CLIENT_LEFT: u16 = 499;

/// Outcome of a request. Complete when the entry is dropped.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) status: Option<StatusCode>,
    pub(super) sent: u64,
    pub(super) first_byte: Option<Duration>,
    pub(super) duration: Duration,
    pub(super) upstream: Option<String>,
    pub(super) request_id: Option<HeaderValue>,
    /// Id of the trace, where tracing is on.
    pub(super) trace_id: Option<TraceId>,
    pub(super) reason: Option<&'static str>,
    pub(super) is_whole: bool,
    /// `true` if the response broke off.
    pub(super) is_broken: bool,
}

impl Outcome {
    pub(super) fn shown_status(&self) -> u16 {
        self.status.map_or(CLIENT_LEFT, |status| status.as_u16())
    }

    /// `true` if the client left before it had the whole response.
    pub(super) fn has_client_left(&self) -> bool {
        self.status.is_none() || !self.is_whole
    }
}
