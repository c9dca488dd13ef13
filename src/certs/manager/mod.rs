//! One value that all who need a certificate ask: one look-up or order at a time per name.

mod attempt;
mod cert_manager;
mod operator;
mod revocation;
mod single_flight;
mod stats;

#[cfg(test)]
pub(crate) use cert_manager::tests::World;
#[cfg(test)]
pub(crate) use cert_manager::tests::on_demand;
#[cfg(test)]
pub(crate) use cert_manager::tests::site;
pub use cert_manager::{CertManager, ManagerParts};
pub use revocation::{RevocationError, Revoker};
pub use stats::CertStats;
