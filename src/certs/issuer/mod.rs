//! Issuers of certificates: a CA over ACME, or the internal CA of this machine for local names.

mod account_rollover;
mod acme;
mod acme_options;
mod contract;
mod error;
mod internal;
mod known_public_cas;

pub use account_rollover::{RolloverError, roll_account_keys};
pub use acme::AcmeIssuer;
pub(super) use acme::ExpiredOrderRecords;
pub use acme_options::{IssuerOptions, KeyType};
pub use contract::{
    CaContact, CaaNames, Inspection, IssueRequest, Issuer, Pem, Predecessor, RecordToSet,
    Revocation, RevocationSigner,
};
pub use error::Error;
pub use internal::{InternalCa, InternalCaOptions, NameConstraint};

pub use known_public_cas::{is_public_production, staging_of};

pub use crate::acme::RevocationReason;
