//! The choice between the chains that a CA offers (RFC 8555 section 7.4.2).

use x509_parser::prelude::{FromDer, X509Certificate};

use super::order::Order;
use crate::acme::account::Account;
use crate::acme::client::links;
use crate::acme::error::{Error, Step};
use crate::pem;

/// Most alternate chains that are downloaded.
const ALTERNATES: usize = 8;

impl Order {
    /// Downloads the chain whose last certificate was issued by `common_name`, or the default chain if there is none. The
    /// alternate chains are only downloaded if the default one does not fit.
    pub async fn certificate_issued_by(
        &self,
        account: &Account,
        common_name: &str,
    ) -> Result<Vec<u8>, Error> {
        let usual = self.download(account).await?;
        if is_issued_by(&usual.body, common_name) {
            return Ok(usual.body);
        }
        for url in links(&usual.headers, &usual.url, "alternate")
            .iter()
            .take(ALTERNATES)
        {
            match account.read(Step::Certificate, url).await {
                Ok(other) if is_issued_by(&other.body, common_name) => return Ok(other.body),
                Ok(_) => (),
                Err(error) => {
                    tracing::debug!(%url, %error, "an alternate chain of the CA cannot be read");
                }
            }
        }
        tracing::warn!(
            preferred = common_name,
            "the CA offers no chain of the preferred issuer; using its default chain"
        );
        Ok(usual.body)
    }
}

/// `true` if the issuer of the last certificate in a PEM chain is `common_name`.
fn is_issued_by(chain: &[u8], common_name: &str) -> bool {
    let (chain, _) = pem::readable_certificates(chain).unwrap_or_default();
    let Some(top) = chain.last() else {
        return false;
    };
    let Ok((_, top)) = X509Certificate::from_der(top) else {
        return false;
    };
    let mut names = top.issuer().iter_common_name();
    names.any(|name| name.as_str() == Ok(common_name))
}
