//! The effective configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::certs::challenge::DnsOptions;
use crate::certs::issuer::InternalCaOptions;
use crate::certs::preflight::PreflightOptions;
use crate::certs::{IssuerOptions, LocalNames, ResolverOptions, Secret};
use crate::config::report::{FilePlaces, Origins};
use crate::config::value::{Directory, LogOptions, ProblemReceiver, StorageUrl, TrustedPeer};
use crate::listener_names::DEFAULT_LISTENER;
use crate::name::HostPattern;
use crate::proxy::{AccessLogOptions, AccessLogTarget, HttpMode, SiteFeatureOptions};
use crate::server::{Limits, ListenOptions};
use crate::tls::TlsVersion;
use crate::traces::TraceOptions;
use crate::upstream;

use super::site::{CertificateSource, HeaderConfig, SiteConfig};

/// The effective configuration: checked, and with all defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// Storage of certificates, keys and failure records.
    pub storage: StorageUrl,
    /// Path of the admin socket. `None` means the data directory.
    pub admin: Option<PathBuf>,
    /// User that the process becomes once it listens. `None` keeps the one that has started it.
    pub user: Option<String>,
    /// Address of the metrics listener. `None` turns it off.
    pub metrics: Option<SocketAddr>,
    /// Address of the status page. `None` turns it off.
    pub page: Option<SocketAddr>,
    /// Token that opens the status page. Only a page on a loopback address may go without.
    pub page_token: Option<Secret>,
    /// Tracing of requests. `None` turns it off.
    pub tracing: Option<TraceOptions>,
    /// Contact for the CA. Issuers without one of their own have a copy.
    pub email: Option<String>,
    /// Listeners of plain HTTP and HTTPS.
    pub listen: ListenOptions,
    /// Limits for connections and requests.
    pub limits: Limits,
    /// Defaults for upstreams. Each upstream has its own copy.
    pub upstreams: upstream::Options,
    /// At least one CA, in the order in which they are tried.
    pub issuers: Vec<IssuerOptions>,
    /// Checks of each name before it is ordered.
    pub preflight: PreflightOptions,
    /// DNS servers to query.
    pub resolver: ResolverOptions,
    /// Options of the internal CA.
    pub internal_ca: InternalCaOptions,
    /// Options for DNS challenges of the sites that have none of their own.
    pub dns: Option<DnsOptions>,
    /// Command that runs after each new certificate, as `COMMAND NAME FILE`.
    pub on_cert: Option<PathBuf>,
    /// Receiver of messages about problems.
    pub on_problem: Option<ProblemReceiver>,
    /// Peers whose information about their clients is trusted.
    pub trust: Vec<TrustedPeer>,
    /// True if requests to backends have the Forwarded header too.
    pub forwarded: bool,
    /// Minimum TLS version of clients. Each site has its own copy.
    pub min_tls: TlsVersion,
    /// At least one site, in the order of the file.
    pub sites: Vec<SiteConfig>,
    /// Access log. `None` turns it off.
    pub access_log: Option<AccessLogOptions>,
    /// Features of all sites. Each site has its own copy.
    pub features: SiteFeatureOptions,
    /// True if a change of the Proxyfile, or of a file that it names, is a reload.
    pub watch: bool,
    /// Level and format of the log.
    pub log: LogOptions,
    /// Origins of the values.
    pub origins: Origins,
    /// Places in the Proxyfile at which files are named.
    pub(crate) file_places: FilePlaces,
}

impl Config {
    /// Returns the path of the admin socket.
    #[must_use]
    pub fn admin_path(&self) -> PathBuf {
        let default = || self.storage.directory().join("admin.sock");
        self.admin.clone().unwrap_or_else(default)
    }

    /// Returns the files that the configuration is made of, apart from the Proxyfile: those that it names, but not the log,
    /// which the proxy itself writes.
    #[must_use]
    pub fn read_files(&self) -> Vec<PathBuf> {
        let log = self.access_log.as_ref().map(|log| &log.target);
        let is_log = |file: &Path| matches!(log, Some(AccessLogTarget::File(path)) if path == file);
        let files = self.file_places.files().filter(|file| !is_log(file));
        let mut files: Vec<_> = files.map(Path::to_owned).collect();
        files.sort();
        files
    }

    /// Returns the defaults, without sites. The storage must still be set.
    pub(crate) fn with_defaults() -> Self {
        Self {
            storage: StorageUrl::File(PathBuf::new()),
            admin: None,
            user: None,
            metrics: None,
            page: None,
            page_token: None,
            tracing: None,
            email: None,
            listen: ListenOptions::default(),
            limits: Limits::default(),
            upstreams: upstream::Options::default(),
            issuers: vec![Directory::letsencrypt().into_issuer()],
            preflight: PreflightOptions::default(),
            resolver: ResolverOptions::default(),
            internal_ca: InternalCaOptions::default(),
            dns: None,
            on_cert: None,
            on_problem: None,
            access_log: None,
            features: SiteFeatureOptions::default(),
            trust: Vec::new(),
            forwarded: false,
            min_tls: TlsVersion::default(),
            sites: Vec::new(),
            watch: false,
            log: LogOptions::default(),
            origins: Origins::default(),
            file_places: FilePlaces::default(),
        }
    }

    /// Creates a site with the settings of all sites and without a route.
    pub(crate) fn site(&self, pattern: HostPattern) -> SiteConfig {
        SiteConfig {
            pattern,
            aliases: Vec::new(),
            routes: Vec::new(),
            headers: HeaderConfig::default(),
            http: HttpMode::default(),
            listen: vec![DEFAULT_LISTENER.to_owned()],
            guards: None,
            on_demand: None,
            issuer: None,
            dns: None,
            own_certificate: false,
            tls: None,
            default: false,
            features: self.features.clone(),
            client_auth: None,
            min_tls: self.min_tls,
            early_data: false,
        }
    }

    /// Returns who signs local names of sites without an `issuer`.
    #[must_use]
    pub fn local_names(&self) -> LocalNames {
        LocalNames::of(&self.issuers)
    }

    /// Returns true if the internal CA signs for any name of the sites.
    #[must_use]
    pub fn needs_internal_ca(&self) -> bool {
        let local_names = self.local_names();
        self.sites.iter().any(|site| {
            let mut names = site.patterns();
            names.any(|name| {
                site.certificate_source_of(name, local_names) == CertificateSource::InternalCa
            })
        })
    }

    /// Returns the names of the issuers, in order.
    pub(crate) fn issuer_names(&self) -> Vec<String> {
        let names = self.issuers.iter().map(|issuer| issuer.name.clone());
        names.collect()
    }
}
