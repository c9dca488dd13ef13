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
pub use revocation::{RevocationError, Revoker};
pub use state::{ManagerParts, Outcome};
pub use stats::CertStats;

#[cfg(test)]
pub(super) use cert_manager::tests::{
    CLIENT, World, held_renewal, name, on_demand, release, site, wait,
};
pub(super) use schedule::{Due, Reminder};
