//! The life of a certificate: wanted, issued, stored, served, renewed. Knows no TLS server and no
//! request.

mod options;

pub use options::{IssuerOptions, OnDemandOptions, TlsFiles};
