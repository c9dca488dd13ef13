//! One site: a host pattern, what happens to its requests, and where its certificate comes from.

use crate::certs::challenge::DnsOptions;
use crate::certs::{OnDemandOptions, TlsFiles};
use crate::name::HostPattern;
use crate::proxy::{
    Files, FixedResponse, GuardOptions, HeaderChange, PathPrefix, Redirect, Rewrite,
    SiteFeatureOptions,
};
use crate::tls::{ClientAuthOptions, TlsVersion};
use crate::upstream;

use crate::config::value::INTERNAL;

/// A host pattern with all that was said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteConfig {
    /// The names.
    pub pattern: HostPattern,
    /// More names that are served alike.
    pub aliases: Vec<HostPattern>,
    /// What happens to requests by the beginning of their path. What the site itself says comes first.
    pub routes: Vec<RouteConfig>,
    /// What happens to header fields, whichever the route.
    pub headers: HeaderConfig,
    /// What stands before all of that.
    pub guards: Option<Box<GuardOptions>>,
    /// The gate before issuance for each name of a wildcard.
    pub on_demand: Option<OnDemandOptions>,
    /// The name of the only issuer that signs for the site; `internal` is this machine's own CA.
    pub issuer: Option<String>,
    /// How its names are proved in DNS.
    pub dns: Option<DnsOptions>,
    /// The certificate that the operator brings.
    pub tls: Option<TlsFiles>,
    /// Whether clients that name no host get this site's certificate.
    pub default: bool,
    /// What is added to its requests.
    pub features: SiteFeatureOptions,
    /// Whose certificates its clients need.
    pub client_auth: Option<ClientAuthOptions>,
    /// The oldest version of TLS that its clients may speak.
    pub min_tls: TlsVersion,
}

/// What happens to the requests below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// The beginning of the paths.
    pub prefix: PathPrefix,
    /// Who answers.
    pub action: SiteAction,
    /// The other path that the backend or the folder gets.
    pub rewrite: Option<Rewrite>,
    /// What happens to header fields, after what the site says.
    pub headers: HeaderConfig,
}

impl RouteConfig {
    /// What a site without other routes says.
    #[must_use]
    pub fn whole(action: SiteAction) -> Self {
        Self {
            prefix: PathPrefix::root(),
            action,
            rewrite: None,
            headers: HeaderConfig::default(),
        }
    }
}

/// What happens to header fields, in the order in which it happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderConfig {
    /// On the way to the backend.
    pub request: Vec<HeaderChange>,
    /// On the way to the client.
    pub response: Vec<HeaderChange>,
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
    Redirect(Redirect),
    /// It gets this answer.
    Respond(FixedResponse),
    /// It gets a file.
    Files(Files),
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
    /// The issuer, at the first handshake for a name that the ask endpoint allows.
    OnDemand,
}

impl SiteConfig {
    /// The names and the other names.
    pub fn patterns(&self) -> impl Iterator<Item = &HostPattern> {
        std::iter::once(&self.pattern).chain(&self.aliases)
    }

    /// Whether this machine's own CA signs for any of the site's names, since nobody else can or is wanted to.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.patterns().any(|pattern| self.is_internal_for(pattern))
    }

    fn is_internal_for(&self, pattern: &HostPattern) -> bool {
        match &self.issuer {
            Some(name) => name == INTERNAL,
            None => pattern.is_local(),
        }
    }

    /// Where the certificate of the site's own name comes from. Local names among those of an on-demand site still get the
    /// internal CA.
    #[must_use]
    pub fn certificate_source(&self) -> CertificateSource {
        self.certificate_source_of(&self.pattern)
    }

    /// Where the certificate of one of the site's names comes from.
    #[must_use]
    pub fn certificate_source_of(&self, pattern: &HostPattern) -> CertificateSource {
        let is_exact = matches!(pattern, HostPattern::Exact(_));
        if self.tls.is_some() {
            CertificateSource::Files
        } else if self.on_demand.is_some() && !is_exact {
            CertificateSource::OnDemand
        } else if self.is_internal_for(pattern) {
            CertificateSource::InternalCa
        } else {
            CertificateSource::Issuer
        }
    }
}
