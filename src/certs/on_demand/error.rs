//! Reasons why an on-demand name is not allowed.

use std::time::Duration;

use url::Url;

use super::new_name_limit::Network;
use crate::web_client::WebClientError;

/// A reason why an on-demand name is not allowed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The HTTP client could not be built.
    #[error("the client for the ask endpoint cannot be built: {0}")]
    Client(WebClientError),
    /// The endpoint did not answer.
    #[error(
        "the ask endpoint {url} did not answer: {}; no new name is allowed until it does",
        root_of(source)
    )]
    Unreachable {
        /// The endpoint.
        url: Url,
        /// The failure of the request.
        source: reqwest::Error,
    },
    /// The endpoint failed.
    #[error(
        "the ask endpoint {url} failed with status {status}; no new name is allowed until it works again"
    )]
    Failing {
        /// The endpoint.
        url: Url,
        /// The status of its response.
        status: u16,
    },
    /// The endpoint refused the name.
    #[error("the ask endpoint {url} refused the name with status {status}")]
    Refused {
        /// The endpoint.
        url: Url,
        /// The status of its response.
        status: u16,
    },
    /// The limit of new names for one network is reached.
    #[error(
        "clients of {network} have asked for {limit} new names within an hour; the next one is allowed in {}; \
         if the network needs more, raise names-per-network",
        humantime::format_duration(Duration::from_secs(.wait.as_secs() + 1))
    )]
    TooManyFromNetwork {
        /// The network.
        network: Network,
        /// Number of new names that it may ask for in an hour.
        limit: u16,
        /// Time until the next one is allowed.
        wait: Duration,
    },
    /// The limit of new names in total is reached.
    #[error(
        "{limit} new names were allowed within an hour; the next one is allowed in {}; \
         for a busier site, raise names-per-hour",
        humantime::format_duration(Duration::from_secs(.wait.as_secs() + 1))
    )]
    TooMany {
        /// Number of new names that are allowed in an hour.
        limit: u16,
        /// Time until the next one is allowed.
        wait: Duration,
    },
}

/// Returns the root cause, which says more than the errors around it.
fn root_of(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

impl AskError {
    /// `true` if the endpoint is down or failed, and so has not said no.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Failing { .. })
    }
}
