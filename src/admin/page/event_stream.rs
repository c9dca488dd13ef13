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
    /// The place of the browser among those that are served at once.
    pub(super) permit: OwnedSemaphorePermit,
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
            permit,
            ..
        } = self;
        let end = Instant::now() + STREAM_LIFETIME;
        let state = (subscription.changes, shutdown, permit);
        stream::unfold(state, move |(mut changes, shutdown, permit)| async move {
            let message = tokio::select! {
                message = changes.recv() => message.ok()?,
                () = shutdown.requested() => return None,
                () = sleep_until(end) => return None,
            };
            Some((message, (changes, shutdown, permit)))
        })
    }
}
