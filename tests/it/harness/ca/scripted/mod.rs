//! A CA that follows a script: real HTTPS, real signatures and single-use nonces, real http-01 fetches and certificates,
//! and the faults that a test asks for.
//!
//! ```ignore
//! let script = Script::new().fault(Step::Finalize, 1, Fault::CutAfter);
//! let ca = ScriptedCa::start(script, http01_port).await;
//! // a client for ca.directory_url() that trusts ca.root_pem()
//! assert_eq!(ca.count(Step::NewOrder), 1);
//! ```

mod jws;
mod reply;
mod route;
mod script;
mod server;
mod signing;
mod state;

pub(crate) use reply::Reply;
pub(crate) use script::{CertificateFault, Fault, Script, Step, Wait};
pub(crate) use server::ScriptedCa;
