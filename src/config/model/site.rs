//! A site: its names, its routes and the source of its certificate.

use crate::certs::challenge::DnsOptions;
use crate::certs::{LocalNames, OnDemandOptions, TlsFiles};
use crate::name::{HostName, HostPattern};
use crate::proxy::{
    Files, FixedResponse, GuardOptions, HeaderChange, HttpMode, NetworkOptions, PathPrefix,
    Redirect, Rewrite, SiteFeatureOptions,
};
use crate::tls::{ClientAuthMode, ClientAuthOptions, TlsVersion};
use crate::upstream;

use crate::config::value::INTERNAL;

/// A site of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteConfig {
    /// Host name or pattern.
    pub pattern: HostPattern,
    /// Further names of the site.
    pub aliases: Vec<HostPattern>,
    /// Routes by path prefix. The action of the site itself comes first.
    pub routes: Vec<RouteConfig>,
    /// Header changes on all routes.
    pub headers: HeaderConfig,
    /// Whether the site is served over TLS, over plain HTTP or over both.
    pub http: HttpMode,
    /// Names of the listeners on which the site is served, at least one.
    pub listen: Vec<String>,
    /// Access control.
    pub guards: Option<Box<GuardOptions>>,
    /// Options for certificates on demand.
    pub on_demand: Option<OnDemandOptions>,
    /// Name of the only issuer for the site. `internal` means the internal CA.
    pub issuer: Option<String>,
    /// Options for DNS challenges.
    pub dns: Option<DnsOptions>,
    /// True if the site does not use the certificate of a wildcard that covers its name.
    pub own_certificate: bool,
    /// Certificate files of the operator.
    pub tls: Option<TlsFiles>,
    /// True if clients without SNI get this site's certificate.
    pub default: bool,
    /// Access log, request ids, compression, error pages and maintenance.
    pub features: SiteFeatureOptions,
    /// Verification of client certificates.
    pub client_auth: Option<ClientAuthOptions>,
    /// Minimum TLS version of clients.
    pub min_tls: TlsVersion,
    /// True if clients of HTTP/3 may send safe requests within the handshake.
    pub early_data: bool,
}

/// A route: requests with a path prefix and their action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// Prefix of the paths.
    pub prefix: PathPrefix,
    /// Action that answers the requests.
    pub action: SiteAction,
    /// Change of the path for the backend or the folder.
    pub rewrite: Option<Rewrite>,
    /// Access control instead of that of the site. `None` means that of the site.
    pub guards: Option<Box<GuardOptions>>,
    /// Header changes, applied after those of the site.
    pub headers: HeaderConfig,
}

impl RouteConfig {
    /// Creates a route for all paths.
    #[must_use]
    pub fn whole(action: SiteAction) -> Self {
        Self {
            prefix: PathPrefix::root(),
            action,
            rewrite: None,
            guards: None,
            headers: HeaderConfig::default(),
        }
    }
}

/// Header changes, in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderConfig {
    /// Changes on the way to the backend.
    pub request: Vec<HeaderChange>,
    /// Changes on the way to the client.
    pub response: Vec<HeaderChange>,
}

/// Action of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteAction {
    /// Forwards to a backend.
    Upstream {
        /// At least one address.
        addresses: Vec<upstream::Address>,
        /// Timeouts, balancing and TLS.
        options: upstream::Options,
    },
    /// Redirects the client.
    Redirect(Redirect),
    /// Sends a fixed response.
    Respond(FixedResponse),
    /// Serves files of a folder.
    Files(Files),
}

/// Source of a site's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// None, because the site is served over plain HTTP alone.
    None,
    /// Files of the operator.
    Files,
    /// The internal CA, because it is selected or the name is local.
    InternalCa,
    /// An issuer, in advance.
    Issuer,
    /// An issuer, at the first handshake for a name that the ask endpoint allows.
    OnDemand,
}

impl SiteConfig {
    /// Returns all names of the site.
    pub fn patterns(&self) -> impl Iterator<Item = &HostPattern> {
        std::iter::once(&self.pattern).chain(&self.aliases)
    }

    /// Returns true if the site is served over TLS, and needs a certificate.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.http != HttpMode::Serve
    }

    /// Returns the first name of the site that is not a pattern.
    #[must_use]
    pub fn exact_name(&self) -> Option<&HostName> {
        self.patterns().find_map(|pattern| match pattern {
            HostPattern::Exact(name) => Some(name),
            HostPattern::Wildcard(_) | HostPattern::Any => None,
        })
    }

    /// Returns how clients are asked for certificates in the handshake. If some routes need no certificate, the handshake
    /// accepts clients without one, and the guards of the other routes refuse them.
    #[must_use]
    pub fn handshake_client_auth(&self) -> Option<ClientAuthOptions> {
        let mut options = self.client_auth.clone()?;
        let mut routes = self.routes.iter().filter_map(|route| route.guards.as_ref());
        if routes.any(|guards| !guards.client_certificate) {
            options.mode = ClientAuthMode::Optional;
        }
        Some(options)
    }

    /// `true` if clients may send safe requests within the handshake. Never where rules look at their addresses or certificates:
    /// the handshake proves both.
    #[must_use]
    pub fn takes_early_data(&self) -> bool {
        let routes = self.routes.iter().map(|route| &route.guards);
        let mut guards = routes.chain([&self.guards]).flatten();
        let has_rules = guards.any(|guards| guards.networks != NetworkOptions::default());
        self.early_data && self.client_auth.is_none() && !has_rules
    }

    /// Returns the source of the certificate for one of the names. Local names of an on-demand site get theirs as other
    /// local names do.
    #[must_use]
    pub fn certificate_source_of(
        &self,
        pattern: &HostPattern,
        local_names: LocalNames,
    ) -> CertificateSource {
        let is_exact = matches!(pattern, HostPattern::Exact(_));
        let is_internal = match &self.issuer {
            Some(name) => name == INTERNAL,
            None => local_names.are_internal(pattern),
        };
        if !self.has_tls() {
            CertificateSource::None
        } else if self.tls.is_some() {
            CertificateSource::Files
        } else if self.on_demand.is_some() && !is_exact {
            CertificateSource::OnDemand
        } else if is_internal {
            CertificateSource::InternalCa
        } else {
            CertificateSource::Issuer
        }
    }
}
