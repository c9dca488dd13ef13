//! The way from a wanted name to its certificate at one CA (RFC 8555 section 7.1).

use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::super::{Error, Pem};
use crate::acme::{Account, Identifier, Order, Solver};
use crate::name::HostPattern;

/// The orders of one attempt to get a certificate for `subject`.
pub(super) struct OrderPath<'a> {
    pub(super) account: &'a Account,
    pub(super) subject: &'a HostPattern,
}

impl OrderPath<'_> {
    /// Account, order, authorizations, CSR, certificate.
    pub(super) async fn run(&self, solver: &dyn Solver) -> Result<Pem, Error> {
        let (mut order, key) = self.place().await?;
        order.prove(self.account, solver).await?;
        self.finish(&mut order, &key).await
    }

    async fn place(&self) -> Result<(Order, KeyPair), Error> {
        let identifier = Identifier::of_pattern(self.subject).ok_or(Error::NoSubject)?;
        let key = KeyPair::generate()?;
        let order = Order::create(self.account, &[identifier]).await?;
        Ok((order, key))
    }

    /// From an order whose names are proved to chain and key.
    async fn finish(&self, order: &mut Order, key: &KeyPair) -> Result<Pem, Error> {
        let csr = signing_request(self.subject, key)?;
        order.finalize(self.account, &csr).await?;
        let chain = order.certificate(self.account).await?;
        let chain = String::from_utf8(chain).map_err(|_| Error::NotText)?;
        Ok(Pem::new(&chain, &key.serialize_pem()))
    }
}

/// A CSR for exactly `subject`, without a subject name (RFC 8555 section 7.4).
fn signing_request(subject: &HostPattern, key: &KeyPair) -> Result<Vec<u8>, Error> {
    let mut params = CertificateParams::new(vec![subject.to_string()])?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}
