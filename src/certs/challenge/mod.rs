//! The ways to prove control over a name.

mod http01;
mod solvers;
mod tls_alpn01;

pub use http01::{Http01Solver, Http01Tokens};
pub use solvers::Solvers;
pub use tls_alpn01::{TlsAlpn01Certificates, TlsAlpn01Solver};
