//! The whole effective configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::certs::issuer::InternalCaOptions;
use crate::certs::preflight::PreflightOptions;
use crate::certs::{IssuerOptions, ResolverOptions};
use crate::config::report::Origins;
use crate::config::value::{Directory, LogOptions, StorageUrl, TrustedPeer};
use crate::proxy::{AccessLogOptions, SiteFeatureOptions};
use crate::server::{Limits, ListenOptions};
use crate::tls::TlsVersion;
use crate::upstream;

use super::site::SiteConfig;

/// The whole effective configuration, checked, with all defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where durable data lies.
    pub storage: StorageUrl,
    /// The admin socket, when one is named; else it lies in the data directory.
    pub admin: Option<PathBuf>,
    /// Where metrics are served, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// The contact for the CA; each issuer carries it too.
    pub email: Option<String>,
    /// Where clients connect.
    pub listen: ListenOptions,
    /// What one client may take.
    pub limits: Limits,
    /// The upstream defaults; each site carries its own.
    pub upstreams: upstream::Options,
    /// The CAs in the order in which they are tried; at least one.
    pub issuers: Vec<IssuerOptions>,
    /// The look at each name before its order.
    pub preflight: PreflightOptions,
    /// Who is asked about names.
    pub resolver: ResolverOptions,
    /// How the CA of this machine is made.
    pub internal_ca: InternalCaOptions,
    /// Run after each new certificate as `HOOK NAME FILE`.
    pub on_cert: Option<PathBuf>,
    /// The peers that may say for whom they speak.
    pub trust: Vec<TrustedPeer>,
    /// Whether backends are told of their clients in the field Forwarded too.
    pub forwarded: bool,
    /// The oldest version of TLS that clients may speak; each site carries its own.
    pub min_tls: TlsVersion,
    /// At least one, in the order of the file.
    pub sites: Vec<SiteConfig>,
    /// Where requests are logged, if anywhere.
    pub access_log: Option<AccessLogOptions>,
    /// What sites add to their requests; each carries its own.
    pub features: SiteFeatureOptions,
    /// How much the log says.
    pub log: LogOptions,
    /// Who set what.
    pub origins: Origins,
}

impl Config {
    /// Where the admin socket lies.
    #[must_use]
    pub fn admin_path(&self) -> PathBuf {
        let default = || self.storage.directory().join("admin.sock");
        self.admin.clone().unwrap_or_else(default)
    }

    /// All defaults, without a site and with storage still to be named.
    pub(crate) fn with_defaults() -> Self {
        Self {
            storage: StorageUrl::File(PathBuf::new()),
            admin: None,
            metrics: None,
            email: None,
            listen: ListenOptions::default(),
            limits: Limits::default(),
            upstreams: upstream::Options::default(),
            issuers: vec![Directory::letsencrypt().into_issuer()],
            preflight: PreflightOptions::default(),
            resolver: ResolverOptions::default(),
            internal_ca: InternalCaOptions::default(),
            on_cert: None,
            access_log: None,
            features: SiteFeatureOptions::default(),
            trust: Vec::new(),
            forwarded: false,
            min_tls: TlsVersion::default(),
            sites: Vec::new(),
            log: LogOptions::default(),
            origins: Origins::default(),
        }
    }

    /// The names of the issuers, in their order.
    pub(crate) fn issuer_names(&self) -> Vec<String> {
        let names = self.issuers.iter().map(|issuer| issuer.name.clone());
        names.collect()
    }

    /// Whether a request to `address` would come back to the proxy itself.
    pub(crate) fn listens_on(&self, address: &upstream::Address) -> bool {
        let (Some(host), Some(port)) = (address.host(), address.port()) else {
            return false;
        };
        let ips = match host.ip() {
            Some(ip) => vec![ip],
            None if host.as_str() == "localhost" => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            None => Vec::new(),
        };
        let is_own = |ip: IpAddr| {
            [self.listen.http, self.listen.https]
                .into_iter()
                .any(|listen| upstream::is_listener(listen, (ip, port).into()))
        };
        ips.into_iter().any(is_own)
    }

    /// The address that http and https would fight for.
    pub(crate) fn shared_port(&self) -> Option<SocketAddr> {
        let ListenOptions { http, https, .. } = self.listen;
        is_shared(http, https).then_some(https)
    }

    /// The address that metrics and one of the doors would fight for.
    pub(crate) fn shared_metrics(&self) -> Option<SocketAddr> {
        let ListenOptions { http, https, .. } = self.listen;
        self.metrics
            .filter(|metrics| is_shared(*metrics, http) || is_shared(*metrics, https))
    }
}

fn is_shared(one: SocketAddr, other: SocketAddr) -> bool {
    let same_ip =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_ip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_that_is_the_proxy_itself_is_seen() {
        let mut config = Config::with_defaults();
        config.listen.http = "127.0.0.1:8080".parse().unwrap();
        for (address, is_own) in [
            ("localhost:443", true),
            ("[::1]:443", true),
            ("127.0.0.1:8080", true),
            ("localhost:8080", true),
            ("127.0.0.2:8080", false),
            ("10.0.0.1:443", false),
            ("app:443", false),
            ("localhost:3000", false),
        ] {
            let address = upstream::Address::parse(address).unwrap();
            assert_eq!(config.listens_on(&address), is_own, "{address}");
        }
    }

    #[test]
    fn the_forms_of_an_address_that_is_listened_on_are_told_apart_as_the_kernel_does() {
        for (listen, address, is_own) in [
            ("0.0.0.0:8080", "[::1]:8080", false),
            ("0.0.0.0:8080", "127.0.0.1:8080", true),
            ("[::ffff:127.0.0.1]:8080", "127.0.0.1:8080", true),
            ("[::1]:8080", "localhost:8080", true),
            ("10.0.0.5:8080", "localhost:8080", false),
        ] {
            let mut config = Config::with_defaults();
            config.listen.http = listen.parse().unwrap();
            let address = upstream::Address::parse(address).unwrap();
            assert_eq!(config.listens_on(&address), is_own, "{listen} {address}");
        }
    }
}
