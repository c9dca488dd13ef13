//! Wait of one stream until its connection is within its share of memory again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::connection_memory::ConnectionMemory;

/// Wait of one stream, which costs nothing while there is no debt.
#[derive(Default)]
pub struct Repayment(Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>);

impl Repayment {
    /// Waits until `memory` has no debt.
    pub fn poll(&mut self, memory: &Arc<ConnectionMemory>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.is_none() && memory.debt() == 0 {
            return Poll::Ready(());
        }
        let repaid = || Box::pin(Arc::clone(memory).repaid()) as Pin<Box<_>>;
        ready!(self.0.get_or_insert_with(repaid).as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(())
    }
}

impl fmt::Debug for Repayment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Repayment").field(&self.0.is_some()).finish()
    }
}
