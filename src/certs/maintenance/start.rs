//! The start of the certificate manager with all that works in its background.

use tokio::sync::mpsc;

use super::scheduler::Scheduler;
use super::store_sweep::StoreSweep;
use crate::certs::manager::{CertManager, ManagerParts};

/// Builds the manager and spawns the renewal loop, which first sees to every name that the configuration spells out, and
/// the daily sweep over what is stored.
#[must_use]
pub fn start(parts: ManagerParts) -> CertManager {
    let (schedule, inbox) = mpsc::unbounded_channel();
    let manager = CertManager::new(parts, schedule);
    let tasks = manager.tasks();
    tasks.spawn(Scheduler::new(manager.clone(), inbox).run(tasks.shutdown()));
    tasks.spawn(StoreSweep::new(manager.clone()).run(tasks.shutdown()));
    manager
}
