//! The certificate manager: everything that needs a certificate asks it. It runs one look-up or order per name at a time.

mod attempt;
mod cert_manager;
mod certificate_counts;
mod certificate_figures;
mod endangered;
mod operator_commands;
mod reminder;
mod revocation;
mod single_flight;
mod state;

pub use cert_manager::CertManager;
pub use certificate_counts::{CertEnd, CertStats};
pub use certificate_figures::IssuerBudget;
pub use endangered::Endangered;
pub use revocation::{RevocationError, Revoker};
pub use state::{ManagerParts, Outcome};

#[cfg(test)]
pub(super) use cert_manager::tests::{
    CLIENT, World, held_renewal, name, on_demand, release, site, wait,
};
pub(super) use reminder::{Due, Reminder};
