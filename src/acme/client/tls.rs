//! TLS to the CA.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};

use crate::acme::error::Error;
use crate::pem;
use crate::trust::{GivenRoots, ServerVerifier};

/// Sets up TLS to the CA, which is verified by the system's roots and the given ones. Blocks while it reads the former.
pub(super) fn tls_config(root_pem: Option<&[u8]>) -> Result<ClientConfig, Error> {
    let given = match root_pem {
        Some(text) => pem::certificates(text).map_err(|error| Error::Root(error.into()))?,
        None => Vec::new(),
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let given = GivenRoots::new(given).map_err(|error| Error::Root(error.into()))?;
    let verifier = ServerVerifier::new(roots, given);
    let verifier = verifier.map_err(|error| Error::Setup(error.into()))?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions();
    let mut config = config
        .map_err(|error| Error::Setup(error.into()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
