//! Parsed certificates, and the cache from which they are served.

mod cache;
mod certificate;
mod description;

pub use cache::CertCache;
#[cfg(test)]
pub(crate) use certificate::tests::TestCa;
pub use certificate::{Certificate, CertificateError, TlsFiles};
pub use description::Description;
