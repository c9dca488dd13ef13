//! Runs the streams of an HTTP/2 connection as tracked tasks.

use std::future::Future;

use crate::tasks::Tasks;

#[derive(Clone, Debug)]
pub(super) struct TaskExecutor(pub(super) Tasks);

impl<F> hyper::rt::Executor<F> for TaskExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
