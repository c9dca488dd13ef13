//! The stream of events of one browser: what it may do, the whole view, and what changes from then on.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::page_headers::PageBody;
use super::page_rows::json;
use super::recorder::Subscription;
use crate::admin::connection::ClientPlace;
use crate::tasks::Shutdown;

/// Time after which a stream ends. The browser connects again, so that one that has gone silently keeps no place for long.
pub(super) const STREAM_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Time after which a browser connects again, in milliseconds.
const RETRY: u32 = 2_000;

/// One stream of events.
pub(super) struct EventStream {
    pub(super) subscription: Subscription,
    /// The key with which the browser may renew, if it may.
    pub(super) renewal_key: Option<String>,
    pub(super) shutdown: Shutdown,
    pub(super) place: BrowserPlace,
}

/// The place of a browser among those that are served at once.
#[derive(Debug)]
pub(super) struct BrowserPlace {
    /// Among all browsers.
    pub(super) _of_all: OwnedSemaphorePermit,
    /// Among those of its client, if these are counted.
    pub(super) _of_client: Option<ClientPlace>,
}

impl EventStream {
    /// Returns the body of the response.
    pub(super) fn into_body(self) -> PageBody {
        let access = format!(
            "retry: {RETRY}\nevent: access\ndata: {{\"renewal_key\":{}}}\n\n",
            json(&self.renewal_key)
        );
        let first = [Bytes::from(access), self.subscription.whole.clone()];
        let frames = stream::iter(first).chain(self.changes());
        let frames = frames.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
        StreamBody::new(frames).boxed_unsync()
    }

    /// Ends with the process, with its lifetime, or when the browser does not keep up.
    fn changes(self) -> impl Stream<Item = Bytes> + Send {
        let Self {
            subscription,
            shutdown,
            place,
            ..
        } = self;
        let end = Instant::now() + STREAM_LIFETIME;
        let state = (subscription.changes, shutdown, place);
        stream::unfold(state, move |(mut changes, shutdown, place)| async move {
            let message = tokio::select! {
                message = changes.recv() => message.ok()?,
                () = shutdown.requested() => return None,
                () = sleep_until(end) => return None,
            };
            Some((message, (changes, shutdown, place)))
        })
    }
}
