//! Byte stream of a client's connection, once it has switched to another protocol.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use crate::http1::upgraded::Upgraded;

/// Byte stream of any type.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

type Switched = Upgraded<Box<dyn ByteStream>>;

/// Future byte stream of a connection whose client asks for another protocol. It exists once the response with the status
/// 101 is sent. The connection stores it in the request's extensions. Of its clones, only one gets the stream.
#[derive(Clone)]
pub struct OnUpgrade(Arc<Mutex<Option<oneshot::Receiver<Switched>>>>);

impl OnUpgrade {
    /// The sender of the stream and its receiver.
    pub(super) fn new() -> (oneshot::Sender<Switched>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(Arc::new(Mutex::new(Some(receiver)))))
    }

    /// An upgrade that never happens.
    #[cfg(test)]
    pub(crate) fn never() -> Self {
        Self::new().1
    }

    /// Waits for the stream. `None` if the connection has not switched.
    pub async fn stream(self) -> Option<Upgraded<Box<dyn ByteStream>>> {
        let receiver = self.0.lock().take();
        receiver?.await.ok()
    }
}

impl fmt::Debug for OnUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnUpgrade").finish_non_exhaustive()
    }
}
