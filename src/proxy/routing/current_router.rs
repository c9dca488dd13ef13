//! The current router, with one copy of the reference for each worker.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::router::Router;
use crate::per_worker::{CachePadded, PerWorker};
use crate::proxy::error::FailureLog;
use crate::proxy::request::RequestObserver;

/// Holds the current router once for each worker. A request keeps its worker's copy until it ends. The reference count
/// of a copy is therefore written by one core only.
#[derive(Debug)]
pub struct CurrentRouter {
    copies: PerWorker<ArcSwap<CachePadded<WorkerRouter>>>,
    failure_log: FailureLog,
}

/// One worker's copy: the router, and the observer of the requests that it routes.
#[derive(Debug)]
pub(crate) struct WorkerRouter {
    router: Router,
    observer: RequestObserver,
}

impl WorkerRouter {
    fn new(router: &Router, observer: RequestObserver) -> CachePadded<Self> {
        CachePadded::new(Self {
            router: router.clone(),
            observer,
        })
    }

    pub(crate) fn observer(&self) -> &RequestObserver {
        &self.observer
    }
}

impl Deref for WorkerRouter {
    type Target = Router;

    fn deref(&self) -> &Router {
        &self.router
    }
}

impl CurrentRouter {
    /// Creates the copies for a number of `workers`, whose requests are neither logged nor traced.
    #[must_use]
    pub fn new(router: &Router, workers: usize) -> Arc<Self> {
        let copy = |_| ArcSwap::from_pointee(WorkerRouter::new(router, RequestObserver::default()));
        Arc::new(Self {
            copies: PerWorker::new(workers, copy),
            failure_log: FailureLog::default(),
        })
    }

    /// Routes new requests by `router`, and observes them by `observer`. Requests in progress keep the previous router,
    /// and the last of them frees it.
    pub fn replace(&self, router: &Router, observer: &RequestObserver) {
        for (worker, current) in self.copies.iter().enumerate() {
            let observer = observer.for_worker(worker);
            current.store(Arc::new(WorkerRouter::new(router, observer)));
        }
    }

    /// Router of the worker with this number, to be held during one request.
    pub(crate) fn current(&self, worker: usize) -> Arc<CachePadded<WorkerRouter>> {
        self.copies[worker].load_full()
    }

    /// Router for occasional readers that are no worker.
    #[must_use]
    pub fn snapshot(&self) -> Router {
        self.copies[0].load().router.clone()
    }

    /// Log of failed requests, which all workers share.
    pub(crate) fn failure_log(&self) -> &FailureLog {
        &self.failure_log
    }

    /// Observer of requests that are answered without the service.
    #[must_use]
    pub fn observer(&self) -> RequestObserver {
        self.copies[0].load().observer.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::router::Site;
    use super::*;
    use crate::name::HostPattern;
    use crate::proxy::handler::{Handler, Redirect};

    #[test]
    fn each_worker_has_its_own_copy() {
        let router = CurrentRouter::new(&Router::default(), 2);
        let (one, other) = (router.current(0), router.current(1));
        assert!(!Arc::ptr_eq(&one, &other));
        assert!(Arc::ptr_eq(&one, &router.current(2)));
        assert_eq!(align_of_val(&*one), 128);
    }

    #[test]
    fn requests_keep_their_router_and_the_last_one_frees_it() {
        let router = CurrentRouter::new(&Router::default(), 2);
        let moved = Redirect::parse("https://elsewhere.example.org").unwrap();
        let site = Site::new(HostPattern::Any, Handler::Redirect(moved));
        router.replace(&Router::new([site]), &RequestObserver::default());
        let in_progress = router.current(1);
        let previous = [router.current(0), router.current(1)].map(|copy| Arc::downgrade(&copy));

        router.replace(&Router::default(), &RequestObserver::default());

        assert!(in_progress.site("www.example.org").is_some());
        assert!(router.current(1).site("www.example.org").is_none());
        assert!(previous[0].upgrade().is_none() && previous[1].upgrade().is_some());
        drop(in_progress);
        assert!(previous[1].upgrade().is_none());
    }
}
