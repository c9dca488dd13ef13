//! The router that is current, for each runtime.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::router::Router;

/// Holds the current router once for each runtime. A request keeps its runtime's copy for as long as it lasts, so that the
/// counter which that takes is written by one core only.
#[derive(Debug)]
pub struct Routers(Box<[ArcSwap<Copy>]>);

/// One runtime's hold on a router, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Copy(Router);

impl Deref for Copy {
    type Target = Router;

    fn deref(&self) -> &Router {
        &self.0
    }
}

impl Routers {
    /// `router` for so many runtimes, at least one.
    #[must_use]
    pub fn new(router: &Router, workers: usize) -> Arc<Self> {
        let copy = |_| ArcSwap::from_pointee(Copy(router.clone()));
        Arc::new(Self((0..workers.max(1)).map(copy).collect()))
    }

    /// The router of the runtime of this number, for the length of a request.
    pub(super) fn current(&self, worker: usize) -> Arc<Copy> {
        self.0[worker % self.0.len()].load_full()
    }

    /// The router, for those who look at it now and then.
    #[must_use]
    pub fn snapshot(&self) -> Router {
        self.0[0].load().0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runtime_has_a_hold_of_its_own_on_one_router() {
        let routers = Routers::new(&Router::default(), 2);
        let (one, other) = (routers.current(0), routers.current(1));
        assert!(!Arc::ptr_eq(&one, &other));
        assert!(Arc::ptr_eq(&one, &routers.current(2)));
        assert_eq!(align_of_val(&*one), 128);
    }
}
