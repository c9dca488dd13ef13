//! The roots that the system trusts, read once for all backends.

use std::fmt;
use std::sync::{Arc, OnceLock};

use ::aws_lc_rs::digest;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls_native_certs::load_native_certs;

/// The system roots, read when they are first needed. Clones share them.
#[derive(Clone, Default)]
pub struct SystemRoots(Arc<OnceLock<Result<TrustedRoots, MissingRoots>>>);

/// Roots that were found.
pub(super) struct TrustedRoots {
    pub(super) verifier: Arc<WebPkiServerVerifier>,
    /// Equal for equal roots.
    pub(super) digest: [u8; 32],
}

/// Reason why there are no roots, if the system gives one.
pub(super) type MissingRoots = Option<Arc<rustls_native_certs::Error>>;

impl SystemRoots {
    /// Reads them, unless that is done. Blocks.
    pub(super) fn get(&self) -> Result<&TrustedRoots, MissingRoots> {
        self.0.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

impl fmt::Debug for SystemRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemRoots").finish_non_exhaustive()
    }
}

fn read() -> Result<TrustedRoots, MissingRoots> {
    let mut found = load_native_certs();
    // The system may list them in another order each time.
    found
        .certs
        .sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
    let digest = digest(&found.certs);
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    match verifier {
        Ok(verifier) => Ok(TrustedRoots { verifier, digest }),
        // The builder fails only if there is no root at all; the system says why.
        Err(_) => Err(found.errors.into_iter().next().map(Arc::new)),
    }
}

fn digest(roots: &[CertificateDer<'_>]) -> [u8; 32] {
    let mut digest = digest::Context::new(&digest::SHA256);
    for root in roots {
        digest.update(root);
    }
    let digest = digest.finish();
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_share_them_have_them_from_one_reading() {
        let roots = SystemRoots::default();
        let (one, other) = (roots.clone(), roots);
        let (one, other) = (one.get().unwrap(), other.get().unwrap());
        assert!(Arc::ptr_eq(&one.verifier, &other.verifier));
        let later = SystemRoots::default();
        let later = later.get().unwrap();
        assert!(!Arc::ptr_eq(&one.verifier, &later.verifier));
        assert_eq!(one.digest, later.digest);
    }
}
