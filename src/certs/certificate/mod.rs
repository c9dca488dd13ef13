//! Parsed certificates, and the cache from which they are served.

mod cache;
mod certificate;
mod certificate_error;
mod chain;
mod description;
mod flaw;
mod link;
mod private_key;

pub use cache::{CachedCertificate, CertCache};
#[cfg(test)]
pub(crate) use certificate::tests::TestCa;
pub use certificate::{Certificate, ReadPair, TlsFiles};
pub use certificate_error::CertificateError;
pub use description::Description;
pub use flaw::Flaw;
pub(super) use link::{comparable, parse};
pub use private_key::PrivateKey;
