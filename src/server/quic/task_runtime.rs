//! The runtime of quinn: tokio's, with tasks that are counted and drained.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};

use crate::tasks::Tasks;

/// Runs the drivers of endpoints and connections among tasks.
#[derive(Debug)]
pub(super) struct TaskRuntime(pub(super) Tasks);

#[expect(clippy::disallowed_types, reason = "quinn's trait has this type")]
impl Runtime for TaskRuntime {
    fn new_timer(&self, at: std::time::Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> std::time::Instant {
        TokioRuntime.now()
    }
}
