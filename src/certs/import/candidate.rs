//! A certificate of another program that can be imported.

use std::time::SystemTime;

use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::Error;
use super::material::Material;
use crate::certs::certificate::{Certificate, CertificateError, Flaw};
use crate::certs::issuer::Pem;
use crate::name::HostPattern;

/// The cure of an incomplete chain.
const INCOMPLETE: &str = "unless clients have it, put it into a PEM file in the same folder and import again, or get a new certificate with `proxy certs renew`";

/// Matching chain and key that have not expired and come from a CA that clients may trust.
#[derive(Debug)]
pub struct Candidate {
    certificate: Certificate,
    flaws: Vec<Flaw>,
    pem: Pem,
    names: Vec<HostPattern>,
    origin: String,
}

impl Candidate {
    /// Checks a chain and a key.
    pub(super) fn check(material: Material, now: SystemTime) -> Result<Self, Error> {
        let Material {
            certificate,
            flaws,
            key,
            origin,
            ..
        } = material;
        let pem = Pem::new(&certificate.chain_pem(), &key);
        let is_real = |name: &&HostPattern| !matches!(name, HostPattern::Any);
        let names: Vec<_> = certificate
            .names()
            .iter()
            .filter(is_real)
            .cloned()
            .collect();
        let Some(first) = names.first() else {
            return Err(Error::NoNames(origin));
        };
        match certificate.verify_for(first, now) {
            // The certificate becomes valid later.
            Ok(()) | Err(CertificateError::NotYetValid(_)) => {}
            Err(source) => return Err(Error::Certificate { origin, source }),
        }
        match signer(&certificate) {
            Signer::Itself => Err(Error::SelfSigned(origin)),
            Signer::Staging => Err(Error::Staging(origin)),
            Signer::Ca if flaws.contains(&Flaw::CommonNameOnly) => {
                Err(Error::CommonNameOnly(origin))
            }
            Signer::Ca => Ok(Self {
                certificate,
                flaws,
                pem,
                names,
                origin,
            }),
        }
    }

    /// Returns the names in the certificate.
    #[must_use]
    pub fn names(&self) -> &[HostPattern] {
        &self.names
    }

    /// Returns the certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Returns chain and key.
    #[must_use]
    pub fn pem(&self) -> &Pem {
        &self.pem
    }

    /// Returns where the certificate was found.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns what an operator should know about the certificate, each as a sentence. Blocks.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let is_told =
            |flaw: &&Flaw| matches!(flaw, Flaw::LeftOut { .. }) || flaw.concerns_clients();
        let cure = |flaw: &Flaw| match flaw {
            Flaw::MissingIssuer { .. } => format!("{flaw}; {INCOMPLETE}"),
            other => other.to_string(),
        };
        self.flaws.iter().filter(is_told).map(cure).collect()
    }
}

enum Signer {
    Itself,
    Staging,
    Ca,
}

fn signer(certificate: &Certificate) -> Signer {
    let leaf = certificate.certified_key().cert.first();
    let Some(Ok((_, leaf))) = leaf.map(|der| X509Certificate::from_der(der)) else {
        return Signer::Ca;
    };
    if leaf.issuer() == leaf.subject() && leaf.verify_signature(None).is_ok() {
        return Signer::Itself;
    }
    // All staging CAs of Let's Encrypt have this in their names.
    if leaf.issuer().to_string().contains("(STAGING)") {
        Signer::Staging
    } else {
        Signer::Ca
    }
}
