//! The steps of the protocol, for errors.

use std::fmt;

/// The step of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// RFC 8555 section 7.1.1.
    Directory,
    /// RFC 8555 section 7.2.
    NewNonce,
    /// RFC 8555 section 7.3.
    NewAccount,
    /// RFC 8555 section 7.3, reading and changing an account.
    Account,
    /// RFC 8555 section 7.3.5.
    KeyChange,
    /// RFC 8555 section 7.4.
    NewOrder,
    /// RFC 8555 section 7.5.
    Authorization,
    /// RFC 8555 section 7.5.1.
    Challenge,
    /// RFC 8555 section 7.5.2.
    Deactivate,
    /// RFC 8555 section 7.4, polling.
    Order,
    /// RFC 8555 section 7.4, the CSR.
    Finalize,
    /// RFC 8555 section 7.4.2.
    Certificate,
    /// RFC 8555 section 7.6.
    Revoke,
    /// RFC 9773 section 4.1.
    RenewalInfo,
}

impl Step {
    /// Whether the request is about the account or the CA and not about a name.
    pub(in crate::acme) fn is_about_account(self) -> bool {
        matches!(
            self,
            Self::Directory | Self::NewNonce | Self::NewAccount | Self::Account | Self::KeyChange
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "read the CA's directory",
            Self::NewNonce => "get a nonce from the CA",
            Self::NewAccount => "register the account",
            Self::Account => "read or change the account",
            Self::KeyChange => "change the account's key",
            Self::NewOrder => "place the order",
            Self::Authorization => "read the authorization",
            Self::Challenge => "answer the challenge",
            Self::Deactivate => "deactivate the authorization",
            Self::Order => "read the order",
            Self::Finalize => "finalize the order",
            Self::Certificate => "download the certificate",
            Self::Revoke => "revoke the certificate",
            Self::RenewalInfo => "ask when to renew",
        })
    }
}
