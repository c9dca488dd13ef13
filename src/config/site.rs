//! One site: a host pattern, what happens to its requests, and where its certificate comes from.

use url::Url;

use crate::certs::{OnDemandOptions, TlsFiles};
use crate::name::HostPattern;
use crate::tls::ClientAuthOptions;
use crate::upstream;

use super::problem::Problem;

/// A host pattern with all that was said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteConfig {
    /// The names.
    pub pattern: HostPattern,
    /// What happens to a request.
    pub action: SiteAction,
    /// The gate before issuance for each name of a wildcard.
    pub on_demand: Option<OnDemandOptions>,
    /// The certificate that the operator brings.
    pub tls: Option<TlsFiles>,
    /// Whether clients that name no host get this site's certificate.
    pub default: bool,
    /// Whose certificates its clients need.
    pub client_auth: Option<ClientAuthOptions>,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteAction {
    /// It goes to one of the addresses.
    Upstream {
        /// At least one.
        addresses: Vec<upstream::Address>,
        /// The deadlines.
        options: upstream::Options,
    },
    /// The client is sent elsewhere.
    Redirect {
        /// An http or https URL with a host.
        to: Url,
    },
}

/// Where a site's certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// The operator's files.
    Files,
    /// The internal CA, since no public CA signs the name.
    InternalCa,
    /// The issuer, before anybody asks for it.
    Issuer,
    /// The issuer, at the first handshake for a name that the ask URL allows.
    OnDemand,
}

impl SiteConfig {
    /// Where the site's certificate comes from. Local names among those of an on-demand site still get the internal CA.
    #[must_use]
    pub fn certificate_source(&self) -> CertificateSource {
        if self.tls.is_some() {
            CertificateSource::Files
        } else if self.on_demand.is_some() {
            CertificateSource::OnDemand
        } else if self.pattern.is_local() {
            CertificateSource::InternalCa
        } else {
            CertificateSource::Issuer
        }
    }
}

/// An absolute http or https URL.
pub(super) fn parse_web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

pub(super) fn parse_redirect(text: &str) -> Result<Url, Problem> {
    parse_web_url(text).ok_or_else(|| Problem::Redirect(text.to_owned()))
}

pub(super) fn parse_ask(text: &str) -> Result<OnDemandOptions, Problem> {
    let ask = parse_web_url(text).ok_or_else(|| Problem::Ask(text.to_owned()))?;
    Ok(OnDemandOptions { ask })
}
