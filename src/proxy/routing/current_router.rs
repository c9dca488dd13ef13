//! The router that is current, for each runtime.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::router::Router;
use crate::proxy::access_log::AccessLog;
use crate::proxy::error::FailureLog;

/// Holds the current router once for each runtime. A request keeps its runtime's copy for as long as it lasts, so that the
/// counter which that takes is written by one core only.
#[derive(Debug)]
pub struct CurrentRouter {
    copies: Box<[ArcSwap<Copy>]>,
    failures: FailureLog,
}

/// One runtime's hold on a router, on cache lines of its own, and where the requests that it routes are logged.
#[derive(Debug)]
#[repr(align(128))]
pub(in crate::proxy) struct Copy {
    router: Router,
    access_log: Option<AccessLog>,
}

impl Copy {
    pub(in crate::proxy) fn access_log(&self) -> Option<&AccessLog> {
        self.access_log.as_ref()
    }
}

impl Deref for Copy {
    type Target = Router;

    fn deref(&self) -> &Router {
        &self.router
    }
}

impl CurrentRouter {
    /// `router` for so many runtimes, at least one, without an access log.
    #[must_use]
    pub fn new(router: &Router, workers: usize) -> Arc<Self> {
        let copy = |_| {
            ArcSwap::from_pointee(Copy {
                router: router.clone(),
                access_log: None,
            })
        };
        Arc::new(Self {
            copies: (0..workers.max(1)).map(copy).collect(),
            failures: FailureLog::default(),
        })
    }

    /// Has the requests that come from now on routed by `router` and logged in `access_log`. Those that are under way end
    /// as they began, and the last of them frees what was there before.
    pub fn replace(&self, router: &Router, access_log: Option<&AccessLog>) {
        for (worker, current) in self.copies.iter().enumerate() {
            current.store(Arc::new(Copy {
                router: router.clone(),
                access_log: access_log.map(|log| log.for_worker(worker)),
            }));
        }
    }

    /// The router of the runtime of this number, for the length of a request.
    pub(in crate::proxy) fn current(&self, worker: usize) -> Arc<Copy> {
        self.copies[worker % self.copies.len()].load_full()
    }

    /// The router, for those who look at it now and then.
    #[must_use]
    pub fn snapshot(&self) -> Router {
        self.copies[0].load().router.clone()
    }

    /// Where it is said that requests fail, whichever runtime they are on.
    pub(in crate::proxy) fn failures(&self) -> &FailureLog {
        &self.failures
    }

    /// Where requests are logged that come now and are answered without the service.
    #[must_use]
    pub fn access_log(&self) -> Option<AccessLog> {
        self.copies[0].load().access_log.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::router::Site;
    use super::*;
    use crate::name::HostPattern;
    use crate::proxy::handler::{Handler, Redirect};

    #[test]
    fn each_runtime_has_a_hold_of_its_own_on_one_router() {
        let router = CurrentRouter::new(&Router::default(), 2);
        let (one, other) = (router.current(0), router.current(1));
        assert!(!Arc::ptr_eq(&one, &other));
        assert!(Arc::ptr_eq(&one, &router.current(2)));
        assert_eq!(align_of_val(&*one), 128);
    }

    #[test]
    fn a_request_keeps_its_router_and_the_last_one_frees_it() {
        let router = CurrentRouter::new(&Router::default(), 2);
        let moved = Redirect::parse("https://elsewhere.example.org").unwrap();
        let site = Site::new(HostPattern::Any, Handler::Redirect(moved));
        router.replace(&Router::new([site]), None);
        let under_way = router.current(1);
        let former = [router.current(0), router.current(1)].map(|copy| Arc::downgrade(&copy));

        router.replace(&Router::default(), None);

        assert!(under_way.site("www.example.org").is_some());
        assert!(router.current(1).site("www.example.org").is_none());
        assert!(former[0].upgrade().is_none() && former[1].upgrade().is_some());
        drop(under_way);
        assert!(former[1].upgrade().is_none());
    }
}
