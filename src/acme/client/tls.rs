//! TLS to the CA.

use rustls::ClientConfig;

use crate::acme::error::Error;
use crate::pem;
use crate::trust::{GivenRoots, ServerVerifier};

/// Sets up TLS to the CA, which is verified by the system's roots and the given ones. Blocks while it reads the former.
pub(super) fn tls_config(root_pem: Option<&[u8]>) -> Result<ClientConfig, Error> {
    let given = match root_pem {
        Some(text) => pem::certificates(text).map_err(|error| Error::Root(error.into()))?,
        None => Vec::new(),
    };
    let given = GivenRoots::new(given).map_err(|error| Error::Root(error.into()))?;
    let verifier = ServerVerifier::with_system_roots(given).map_err(Error::NoRoots)?;
    let config = verifier.into_client_config();
    config.map_err(|error| Error::Setup(error.into()))
}
