//! One value that all who need a certificate ask: one look-up or order at a time per name.

mod attempt;
mod cert_manager;
mod operator;
mod revocation;
mod schedule;
mod single_flight;
mod state;
mod stats;

pub use cert_manager::CertManager;
#[cfg(test)]
pub(crate) use cert_manager::tests::World;
#[cfg(test)]
pub(crate) use cert_manager::tests::on_demand;
#[cfg(test)]
pub(crate) use cert_manager::tests::site;
pub use revocation::{RevocationError, Revoker};
pub use state::{ManagerParts, Outcome};
pub use stats::CertStats;

pub(super) use schedule::{Due, Reminder};
