//! Roots that the system trusts, read once for all backends.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls_native_certs::load_native_certs;

use crate::trust::{GivenRoots, NoRoots, ServerVerifier};

/// System roots, which are read at the first use. Clones share them.
#[derive(Clone, Default)]
pub struct SystemRoots(Arc<OnceLock<Result<TrustedRoots, NoRoots>>>);

/// Roots of the system.
pub(super) struct TrustedRoots {
    pub(super) verifier: Arc<ServerVerifier>,
    /// SHA-256 over all roots, by which roots from two reads are compared.
    pub(super) digest: [u8; 32],
}

impl SystemRoots {
    /// Returns the roots. Blocks while it reads them, at the first call.
    pub(super) fn get(&self) -> Result<&TrustedRoots, NoRoots> {
        self.0.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

impl fmt::Debug for SystemRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemRoots").finish_non_exhaustive()
    }
}

fn read() -> Result<TrustedRoots, NoRoots> {
    let mut found = load_native_certs();
    // The system may list the roots in another order each time.
    found
        .certs
        .sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
    let digest = digest(&found.certs);
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    match ServerVerifier::new(roots, GivenRoots::default()).map(Arc::new) {
        Ok(verifier) => Ok(TrustedRoots { verifier, digest }),
        // This only fails if there are no roots at all.
        Err(_) => Err(NoRoots::found()),
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
    fn clones_read_the_roots_only_once() {
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
