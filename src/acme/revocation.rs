//! Revocation of a certificate (RFC 8555 section 7.6), by the account that ordered it or with its key.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::acme::account::Account;
use crate::acme::client::{Call, Client, Repeat};
use crate::acme::error::{Error, Step};
use crate::acme::jws::{CertificateKey, Signer};
use crate::acme::resource::ProblemKind;

/// The reason of a revocation (RFC 5280 section 5.3.1), one of those that the owner of a certificate can give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationReason {
    /// No reason is given.
    #[default]
    Unspecified,
    /// The key may be known to somebody else.
    KeyCompromise,
    /// The names have a new owner.
    AffiliationChanged,
    /// Another certificate replaces it.
    Superseded,
    /// The names are no longer used.
    CessationOfOperation,
    /// The right to the names was withdrawn.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    /// Returns its number in CRLs and requests.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The text is not a valid reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not a valid reason; use `unspecified`, `key-compromise`, `affiliation-changed`, `superseded`, \
     `cessation-of-operation` or `privilege-withdrawn`"
)]
pub struct UnknownReason;

impl FromStr for RevocationReason {
    type Err = UnknownReason;

    /// Parses a reason such as `key-compromise`.
    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        let parsed: Result<Self, ValueError> = Self::deserialize(text.into_deserializer());
        parsed.map_err(|_| UnknownReason)
    }
}

impl Account {
    /// Revokes a certificate that the account has ordered, or for whose names it is authorized. Succeeds if the certificate
    /// is already revoked.
    pub async fn revoke(
        &self,
        certificate: &CertificateDer<'_>,
        reason: RevocationReason,
    ) -> Result<(), Error> {
        let signer = Signer::by_account(self.key(), self.url());
        revoke(self.client(), signer, certificate, reason).await
    }
}

impl CertificateKey {
    /// Revokes the certificate of this key. Needs no account, and succeeds if the certificate is already revoked.
    pub async fn revoke(
        &self,
        client: &Client,
        certificate: &CertificateDer<'_>,
        reason: RevocationReason,
    ) -> Result<(), Error> {
        let signer = Signer::by_certificate(self);
        revoke(client, signer, certificate, reason).await
    }
}

async fn revoke(
    client: &Client,
    signer: Signer<'_>,
    certificate: &CertificateDer<'_>,
    reason: RevocationReason,
) -> Result<(), Error> {
    let directory = client.directory().await?;
    let url = directory.revoke_cert.as_ref().ok_or(Error::NoService {
        service: "revokeCert",
    })?;
    let mut request = json!({ "certificate": URL_SAFE_NO_PAD.encode(certificate) });
    if reason != RevocationReason::Unspecified {
        request["reason"] = reason.code().into();
    }
    let payload = serde_json::to_vec(&request).expect("texts and numbers always become JSON");
    let call = Call {
        step: Step::Revoke,
        signer,
        payload: &payload,
        repeat: Repeat::Safe,
    };
    match client.post(&call, url).await {
        Err(error) if error.is(&ProblemKind::AlreadyRevoked) => Ok(()),
        outcome => outcome.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_parsed_from_its_name() {
        for (name, reason) in [
            ("unspecified", RevocationReason::Unspecified),
            ("key-compromise", RevocationReason::KeyCompromise),
            ("affiliation-changed", RevocationReason::AffiliationChanged),
            ("superseded", RevocationReason::Superseded),
            (
                "cessation-of-operation",
                RevocationReason::CessationOfOperation,
            ),
            ("privilege-withdrawn", RevocationReason::PrivilegeWithdrawn),
        ] {
            assert_eq!(name.parse(), Ok(reason));
            assert_eq!(reason.to_string(), name);
        }
        assert_eq!(
            "keyCompromise".parse::<RevocationReason>(),
            Err(UnknownReason)
        );
        assert_eq!(RevocationReason::KeyCompromise.code(), 1);
    }
}
