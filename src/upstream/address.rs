//! Address and protocol of one backend, as users write them.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use crate::name::{HostName, NameError};
use crate::upstream::srv_name::{SrvName, SrvTarget};

/// Reasons why a text is not a valid backend address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// An unsupported scheme.
    #[error(
        "`{0}://` is not a supported scheme for an upstream; use `http://`, `https://`, `h2c://`, `srv://`, `unix:/path`, or `host:port` alone"
    )]
    Scheme(String),
    /// A path or query after the port.
    #[error(
        "the address of an upstream cannot have a path; remove `{0}`, and use a route's `rewrite` to add it to request paths"
    )]
    Path(String),
    /// A missing port, or one that is not a number from 1 to 65535.
    #[error("`{0}` has no valid port; use a form like `localhost:3000`")]
    Port(String),
    /// A user name before the host, with or without a password. The message does not quote it, because it may be a
    /// secret.
    #[error(
        "the address of an upstream cannot have a user name; remove the part before `@`, and send it in a request header instead"
    )]
    User,
    /// A host that is neither a name nor an IP address.
    #[error("`{0}` is not a valid host name or IP address: {1}")]
    Host(String, #[source] NameError),
    /// An invalid service name.
    #[error(
        "`{0}` is not a valid name of a DNS service; use a form without a port, like `srv://_http._tcp.app.example.org`"
    )]
    Service(String),
    /// A relative path to a unix socket, which would depend on the working directory.
    #[error("`{0}` is not an absolute path to a unix socket; use a form like `unix:/run/app.sock`")]
    Socket(String),
    /// A path to a unix socket without its scheme, or with that of another program.
    #[error("`{text}` is a path; write `{corrected}` for a unix socket")]
    SocketScheme {
        /// The text.
        text: String,
        /// The address that was meant.
        corrected: String,
    },
    /// An IPv6 address with a port, but without brackets.
    #[error("an IPv6 address needs brackets before a port; write `{0}`")]
    Brackets(String),
    /// A path that is too long for a unix socket.
    #[error(
        "the path to the unix socket is longer than the {MAX_SOCKET_PATH} bytes that the system allows; shorten `{0}`"
    )]
    LongSocket(String),
}

/// Maximum length of the path to a unix socket, in bytes, without the final zero byte.
const MAX_SOCKET_PATH: usize = 107;

/// Protocol of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 without TLS.
    Http,
    /// HTTP/2 or HTTP/1.1 over TLS, as the backend prefers.
    Https,
    /// HTTP/2 without TLS and without negotiation, "with prior knowledge" (RFC 9113 section 3.3).
    H2c,
}

/// Socket of a backend.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Endpoint {
    Tcp(HostName, u16),
    Unix(Arc<Path>),
    /// The targets of a DNS service, each of which becomes a backend with a `Tcp` endpoint.
    Service(SrvName),
}

/// Address and protocol of one backend. A single pointer, because every [`Error`](super::Error) has room for one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(Arc<Parts>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Parts {
    protocol: Protocol,
    endpoint: Endpoint,
    /// IP address to connect to, if the backend is one of several addresses of its host.
    at_ip: Option<IpAddr>,
    /// Service to which this target belongs, if any.
    service: Option<SrvName>,
}

impl Address {
    fn new(protocol: Protocol, endpoint: Endpoint, at_ip: Option<IpAddr>) -> Self {
        Self(Arc::new(Parts {
            protocol,
            endpoint,
            at_ip,
            service: None,
        }))
    }

    /// Parses an address in one of these forms:
    ///
    /// - `host:port`; `:port` or a port alone means `localhost`
    /// - `http://host` (port 80), `https://host` (port 443) or `h2c://host` (port 80), each with an optional `:port`
    /// - `srv://service`, `srv+https://service` or `srv+h2c://service`
    /// - `unix:/path`
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::parse_unix(path);
        }
        if let Some(path) = socket_path(text) {
            return Err(AddressError::SocketScheme {
                text: text.to_owned(),
                corrected: format!("unix:{path}"),
            });
        }
        let (protocol, rest, default_port) = match text.split_once("://") {
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "http" => (Protocol::Http, rest, Some(80)),
                "https" => (Protocol::Https, rest, Some(443)),
                "h2c" => (Protocol::H2c, rest, Some(80)),
                "srv" => return Self::parse_service(Protocol::Http, rest),
                "srv+https" => return Self::parse_service(Protocol::Https, rest),
                "srv+h2c" => return Self::parse_service(Protocol::H2c, rest),
                _ => return Err(AddressError::Scheme(scheme.to_owned())),
            },
            None => (Protocol::Http, text, None),
        };
        let rest = authority(rest)?;
        let (host, port) = split_port(rest, default_port).ok_or_else(|| match bracketed(rest) {
            Some(bracketed) => AddressError::Brackets(text.replace(rest, &bracketed)),
            None => AddressError::Port(text.to_owned()),
        })?;
        let host =
            HostName::parse(host).map_err(|error| AddressError::Host(host.to_owned(), error))?;
        Ok(Self::new(protocol, Endpoint::Tcp(host, port), None))
    }

    fn parse_service(protocol: Protocol, rest: &str) -> Result<Self, AddressError> {
        let name = authority(rest)?;
        let service = SrvName::parse(name).ok_or_else(|| AddressError::Service(name.to_owned()))?;
        Ok(Self::new(protocol, Endpoint::Service(service), None))
    }

    fn parse_unix(path: &str) -> Result<Self, AddressError> {
        // URLs have the form `unix:///run/app.sock`.
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
            return Err(AddressError::Socket(path.to_owned()));
        }
        if path.len() > MAX_SOCKET_PATH {
            return Err(AddressError::LongSocket(path.to_owned()));
        }
        let endpoint = Endpoint::Unix(Path::new(path).into());
        Ok(Self::new(Protocol::Http, endpoint, None))
    }

    /// Protocol of the backend.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.0.protocol
    }

    /// Host to resolve; `None` for a unix socket or a service.
    #[must_use]
    pub fn host(&self) -> Option<&HostName> {
        match &self.0.endpoint {
            Endpoint::Tcp(host, _) => Some(host),
            Endpoint::Unix(_) | Endpoint::Service(_) => None,
        }
    }

    /// TCP port; `None` for a unix socket or a service.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self.0.endpoint {
            Endpoint::Tcp(_, port) => Some(port),
            Endpoint::Unix(_) | Endpoint::Service(_) => None,
        }
    }

    /// `true` if the backend is asked over plain HTTP at a TCP port, where it could speak TLS instead.
    pub(super) fn may_speak_tls(&self) -> bool {
        self.protocol() == Protocol::Http && self.port().is_some()
    }

    /// `true` for HTTP/2 without TLS on a port, where another version of HTTP may be spoken.
    pub(super) fn may_speak_other_http(&self) -> bool {
        self.protocol() == Protocol::H2c && self.port().is_some()
    }

    /// Host and port as they appear in a request; `localhost` for a unix socket.
    #[must_use]
    pub fn authority(&self) -> String {
        match &self.0.endpoint {
            Endpoint::Tcp(host, port) if host.as_str().contains(':') => format!("[{host}]:{port}"),
            Endpoint::Tcp(host, port) => format!("{host}:{port}"),
            Endpoint::Unix(_) => "localhost".to_owned(),
            Endpoint::Service(service) => service.to_string(),
        }
    }

    /// Host and port as a client of the backend names them: without the port that its scheme means anyway. For a service
    /// this is the configured domain, as in [`Self::tls_name`].
    pub(super) fn host_field(&self) -> String {
        let default_port = match self.0.protocol {
            Protocol::Https => 443,
            Protocol::Http | Protocol::H2c => 80,
        };
        let Some(host) = self.tls_name() else {
            return self.authority();
        };
        let host = if host.as_str().contains(':') {
            format!("[{host}]")
        } else {
            host.to_string()
        };
        match self.port() {
            Some(port) if port != default_port => format!("{host}:{port}"),
            Some(_) | None => host,
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// IP address of the backend, if there is exactly one.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.0.at_ip.or_else(|| self.host()?.ip())
    }

    /// Returns the backend at one IP address of the host.
    pub(super) fn at(&self, at_ip: IpAddr) -> Self {
        Self::new(self.protocol(), self.0.endpoint.clone(), Some(at_ip))
    }

    /// Returns the backend at one IP address of a target of the service.
    pub(super) fn at_target(&self, target: &SrvTarget, at_ip: IpAddr) -> Self {
        Self(Arc::new(Parts {
            protocol: self.protocol(),
            endpoint: Endpoint::Tcp(target.host.clone(), target.port),
            at_ip: Some(at_ip),
            service: match &self.0.endpoint {
                Endpoint::Service(service) => Some(service.clone()),
                Endpoint::Tcp(..) | Endpoint::Unix(_) => None,
            },
        }))
    }

    /// Name that the backend's certificate must have. For a service this is the configured domain, because targets come
    /// from DNS, which can be forged (RFC 6125 section 6.2.1).
    pub(super) fn tls_name(&self) -> Option<&HostName> {
        match &self.0.service {
            Some(service) => Some(service.domain()),
            None => self.host(),
        }
    }
}

/// Returns the path of a unix socket that is written without its scheme, or as nginx (`http://unix:/run/app.sock:`) and Caddy
/// (`unix//run/app.sock`) write it.
fn socket_path(text: &str) -> Option<&str> {
    let nginx = text.strip_prefix("http://unix:");
    let path = nginx.or_else(|| text.strip_prefix("unix/")).unwrap_or(text);
    let path = path.strip_suffix(':').unwrap_or(path);
    path.starts_with('/').then_some(path)
}

/// Returns an IPv6 address and its port with brackets around the address.
fn bracketed(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let (host, port): (std::net::Ipv6Addr, u16) = (host.parse().ok()?, port.parse().ok()?);
    Some(format!("[{host}]:{port}"))
}

/// Removes a final `/`. Fails if there is a path, or a user name before the host.
fn authority(rest: &str) -> Result<&str, AddressError> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(AddressError::User);
    }
    if authority.len() < rest.len() {
        return Err(AddressError::Path(rest[authority.len()..].to_owned()));
    }
    Ok(authority)
}

fn split_port(text: &str, default_port: Option<u16>) -> Option<(&str, u16)> {
    let alone = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = alone.parse::<u16>() {
        return (port != 0).then_some(("localhost", port));
    }
    let is_bare_ipv6 = text.parse::<std::net::Ipv6Addr>().is_ok() || text.ends_with(']');
    match text.rsplit_once(':') {
        Some((host, port)) if !is_bare_ipv6 => {
            let port = port
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then_some(port)?;
            let port = port.parse().ok().filter(|port| *port != 0)?;
            (!host.contains("::") || host.starts_with('[')).then_some((host, port))
        }
        _ => default_port.map(|port| (text, port)),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_service = matches!(self.0.endpoint, Endpoint::Service(_));
        f.write_str(match (self.0.protocol, is_service) {
            (Protocol::Http, false) => "",
            (Protocol::Https, false) => "https://",
            (Protocol::H2c, false) => "h2c://",
            (Protocol::Http, true) => "srv://",
            (Protocol::Https, true) => "srv+https://",
            (Protocol::H2c, true) => "srv+h2c://",
        })?;
        match &self.0.endpoint {
            Endpoint::Tcp(..) | Endpoint::Service(_) => f.write_str(&self.authority())?,
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display())?,
        }
        match self.0.at_ip {
            Some(at_ip) => write!(f, " at {at_ip}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_of_an_address_is_parsed() {
        for (written, address) in [
            ("localhost:3000", "localhost:3000"),
            ("http://App.Internal:8080/", "app.internal:8080"),
            ("http://app", "app:80"),
            ("3000", "localhost:3000"),
            (":3000", "localhost:3000"),
            ("https://:8443", "https://localhost:8443"),
            ("[::1]:3000", "[::1]:3000"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("https://App", "https://app:443"),
            ("HTTPS://app:8443/", "https://app:8443"),
            ("https://[::1]", "https://[::1]:443"),
            ("h2c://app:50051", "h2c://app:50051"),
            ("h2c://app", "h2c://app:80"),
            (
                "srv://_http._tcp.App.Internal/",
                "srv://_http._tcp.app.internal",
            ),
            ("SRV+https://app.internal", "srv+https://app.internal"),
            ("srv+h2c://_grpc._tcp.app", "srv+h2c://_grpc._tcp.app"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
            ("unix:///run/app.sock", "unix:/run/app.sock"),
        ] {
            let parsed = Address::parse(written).unwrap();
            assert_eq!(parsed.to_string(), address);
            assert_eq!(Address::parse(address).unwrap(), parsed, "{address}");
        }
    }

    #[test]
    fn backends_at_different_addresses_of_a_name_differ_from_each_other_and_from_the_name() {
        let whole = Address::parse("https://app").unwrap();
        let (one, other) = (
            whole.at([10, 0, 0, 1].into()),
            whole.at([10, 0, 0, 2].into()),
        );
        assert!(one != other && one != whole);
        assert_eq!(one.to_string(), "https://app:443 at 10.0.0.1");
        assert_eq!(one.authority(), "app:443");
        assert_eq!(one.ip(), Some([10, 0, 0, 1].into()));
        assert_eq!(whole.ip(), None);
    }

    #[test]
    fn the_host_of_a_backend_has_a_port_only_if_it_is_not_the_usual_one() {
        for (written, host) in [
            ("http://app", "app"),
            ("https://app", "app"),
            ("https://app:80", "app:80"),
            ("localhost:3000", "localhost:3000"),
            ("https://[::1]:443", "[::1]"),
            ("unix:/run/app.sock", "localhost"),
        ] {
            assert_eq!(Address::parse(written).unwrap().host_field(), host);
        }
        let service = Address::parse("srv+https://_http._tcp.app.example.org").unwrap();
        let target = SrvTarget {
            host: HostName::parse("one.internal").unwrap(),
            port: 443,
            weight: 1,
        };
        let backend = service.at_target(&target, [10, 0, 0, 1].into());
        assert_eq!(backend.host_field(), "app.example.org");
    }

    #[test]
    fn a_socket_path_that_is_too_long_for_the_system_is_rejected() {
        let path = |len: usize| format!("unix:/{}", "s".repeat(len - 1));
        assert!(Address::parse(&path(MAX_SOCKET_PATH)).is_ok());
        let error = Address::parse(&path(MAX_SOCKET_PATH + 1)).unwrap_err();
        assert!(matches!(error, AddressError::LongSocket(_)));
    }

    #[test]
    fn invalid_addresses_are_rejected_with_the_fix() {
        for (written, part) in [
            ("ftp://app:3000", "`ftp://` is not a supported scheme"),
            ("unix:run/app.sock", "not an absolute path"),
            ("unix://run/app.sock", "not an absolute path"),
            ("unix:/run/", "not an absolute path"),
            ("unix:", "not an absolute path"),
            ("grpc://app:50051", "`grpc://` is not a supported scheme"),
            ("http://app:3000/api", "remove `/api`"),
            ("https://app/api?x", "a route's `rewrite`"),
            ("https://user:secret@app", "request header"),
            (
                "srv://_http._tcp.app:80",
                "`_http._tcp.app:80` is not a valid name of a DNS service",
            ),
            ("srv://10.0.0.1", "not a valid name of a DNS service"),
            (
                "srv://_http._tcp",
                "like `srv://_http._tcp.app.example.org`",
            ),
            ("srv+https://app/api", "remove `/api`"),
            ("srv+h2c://user:secret@app", "request header"),
            ("srv+http://app", "`srv+http://` is not a supported scheme"),
            ("app", "has no valid port"),
            ("app:0", "has no valid port"),
            ("app:70000", "has no valid port"),
            ("app:+80", "has no valid port"),
            (
                "::1:3000",
                "needs brackets before a port; write `[::1]:3000`",
            ),
            ("a b:3000", "not a valid host name"),
            ("", "has no valid port"),
        ] {
            let message = Address::parse(written).unwrap_err().to_string();
            assert!(message.contains(part), "{written:?}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
