//! The address and protocol of one backend, as users write them.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use crate::name::{HostName, NameError};
use crate::upstream::srv_name::{SrvName, SrvTarget};

/// Reasons why a text is not the address of a backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A scheme that upstream traffic cannot use.
    #[error(
        "upstreams are reached by `http://`, `https://`, `h2c://`, `srv://` or `unix:/path`; write one of these instead of `{0}://`, or `host:port` alone"
    )]
    Scheme(String),
    /// A path or query after the port.
    #[error(
        "an upstream has no path; leave out `{0}`, and put it before the requests' own paths with a route's `rewrite`"
    )]
    Path(String),
    /// No port, or one that is not a number from 1 to 65535.
    #[error("`{0}` has no port; write `host:port`, as in `localhost:3000`")]
    Port(String),
    /// A user and perhaps a password before the host. The text is left out: it may be a secret.
    #[error(
        "an upstream has no user before its host; leave out what stands before `@`, and send it as a request header instead"
    )]
    User,
    /// A host that is neither a name nor an IP address.
    #[error("`{0}` is no host name or IP address: {1}")]
    Host(String, #[source] NameError),
    /// An invalid name of a service.
    #[error(
        "`{0}` is no name of a service in DNS; write it without a port, as in `srv://_http._tcp.app.example.org`"
    )]
    Service(String),
    /// A relative path of a unix socket, which would depend on the working directory.
    #[error("`{0}` is no absolute path to a unix socket; write it as in `unix:/run/app.sock`")]
    Socket(String),
    /// A path that is too long for a socket.
    #[error(
        "the unix socket's path is longer than the {MAX_SOCKET_PATH} bytes that the system allows; shorten `{0}`"
    )]
    LongSocket(String),
}

/// Longest path in the system's address of a unix socket, without its final zero.
const MAX_SOCKET_PATH: usize = 107;

/// Protocol of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 in the clear.
    Http,
    /// TLS with HTTP/2 or HTTP/1.1, whichever the backend prefers.
    Https,
    /// HTTP/2 in the clear, without asking (RFC 9113 section 3.3).
    H2c,
}

/// Socket of a backend.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Endpoint {
    Tcp(HostName, u16),
    Unix(Arc<Path>),
    /// Wherever DNS says that a service runs. Each of its targets has an endpoint of its own.
    Service(SrvName),
}

/// Address and protocol of one backend. As small as a pointer, since each outcome of a request has room for it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(Arc<Parts>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Parts {
    protocol: Protocol,
    endpoint: Endpoint,
    /// One IP address of its host, if this is the backend at that address only.
    at_ip: Option<IpAddr>,
    /// The service of which it is a target, if any.
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

    /// Parses `host:port`, `http://host` (port 80), `https://host` (port 443), `h2c://host` (port 80), each with or
    /// without another port, `srv://service`, `srv+https://service`, `srv+h2c://service`, `unix:/path`, or a port alone,
    /// which means this machine.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::parse_unix(path);
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
        let (host, port) =
            split_port(rest, default_port).ok_or_else(|| AddressError::Port(text.to_owned()))?;
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

    /// Protocol that it speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.0.protocol
    }

    /// The host to resolve; a unix socket and a service have none.
    #[must_use]
    pub fn host(&self) -> Option<&HostName> {
        match &self.0.endpoint {
            Endpoint::Tcp(host, _) => Some(host),
            Endpoint::Unix(_) | Endpoint::Service(_) => None,
        }
    }

    /// The TCP port; a unix socket and a service have none.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self.0.endpoint {
            Endpoint::Tcp(_, port) => Some(port),
            Endpoint::Unix(_) | Endpoint::Service(_) => None,
        }
    }

    /// The host and the port as a request names them; a unix socket is on this machine.
    #[must_use]
    pub fn authority(&self) -> String {
        match &self.0.endpoint {
            Endpoint::Tcp(host, port) if host.as_str().contains(':') => format!("[{host}]:{port}"),
            Endpoint::Tcp(host, port) => format!("{host}:{port}"),
            Endpoint::Unix(_) => "localhost".to_owned(),
            Endpoint::Service(service) => service.to_string(),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Its IP address, if it has only one.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.0.at_ip.or_else(|| self.host()?.ip())
    }

    /// The backend at one of its host's IP addresses.
    pub(super) fn at(&self, at_ip: IpAddr) -> Self {
        Self::new(self.protocol(), self.0.endpoint.clone(), Some(at_ip))
    }

    /// The backend at one target of a service.
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

    /// Name that its certificate must have. For a service this is the domain in the configuration, since the targets come from
    /// DNS, which may be forged (RFC 6125 section 6.2.1).
    pub(super) fn tls_name(&self) -> Option<&HostName> {
        match &self.0.service {
            Some(service) => Some(service.domain()),
            None => self.host(),
        }
    }
}

/// Returns the text without a final `/`. Refuses a path, and a user before the host.
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
    if let Ok(port) = text.parse::<u16>() {
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

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
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
    fn addresses_are_read_in_every_form_that_users_write() {
        for (written, address) in [
            ("localhost:3000", "localhost:3000"),
            ("http://App.Internal:8080/", "app.internal:8080"),
            ("http://app", "app:80"),
            ("3000", "localhost:3000"),
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
    fn one_address_of_a_name_is_told_apart_from_the_others_and_from_the_name() {
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
    fn a_socket_path_that_the_system_has_no_room_for_is_refused() {
        let path = |len: usize| format!("unix:/{}", "s".repeat(len - 1));
        assert!(Address::parse(&path(MAX_SOCKET_PATH)).is_ok());
        let error = Address::parse(&path(MAX_SOCKET_PATH + 1)).unwrap_err();
        assert!(matches!(error, AddressError::LongSocket(_)));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_fix() {
        for (written, part) in [
            ("ftp://app:3000", "instead of `ftp://`"),
            ("unix:run/app.sock", "no absolute path"),
            ("unix://run/app.sock", "no absolute path"),
            ("unix:/run/", "no absolute path"),
            ("unix:", "no absolute path"),
            ("grpc://app:50051", "instead of `grpc://`"),
            ("http://app:3000/api", "leave out `/api`"),
            ("https://app/api?x", "a route's `rewrite`"),
            ("https://user:secret@app", "request header"),
            (
                "srv://_http._tcp.app:80",
                "`_http._tcp.app:80` is no name of a service",
            ),
            ("srv://10.0.0.1", "no name of a service"),
            (
                "srv://_http._tcp",
                "as in `srv://_http._tcp.app.example.org`",
            ),
            ("srv+https://app/api", "leave out `/api`"),
            ("srv+h2c://user:secret@app", "request header"),
            ("srv+http://app", "instead of `srv+http://`"),
            ("app", "has no port"),
            ("app:0", "has no port"),
            ("app:70000", "has no port"),
            ("app:+80", "has no port"),
            ("::1:3000", "has no port"),
            ("a b:3000", "no host name"),
            (":3000", "no host name"),
            ("", "has no port"),
        ] {
            let message = Address::parse(written).unwrap_err().to_string();
            assert!(message.contains(part), "{written:?}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
