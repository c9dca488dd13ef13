//! Where one backend listens, as users write it.

use std::fmt;
use std::str::FromStr;

use crate::name::{HostName, NameError};

/// Why a text is not the address of a backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A scheme that upstream traffic cannot use.
    #[error(
        "upstreams are reached over plain HTTP here; write `host:port` or `http://host:port` instead of `{0}://`"
    )]
    Scheme(String),
    /// Something behind the port.
    #[error("an upstream is `host:port` without a path; leave out `{0}`")]
    Path(String),
    /// No port, or one that is no number from 1 to 65535.
    #[error("`{0}` has no port; write `host:port`, as in `localhost:3000`")]
    Port(String),
    /// The host is no name and no address.
    #[error("`{0}` is no host name or IP address: {1}")]
    Host(String, #[source] NameError),
}

/// `host:port` of one backend; the host is a name to resolve or an IP address.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    host: HostName,
    port: u16,
}

impl Address {
    /// Parses `host:port`, `http://host:port`, `http://host` (port 80) or a port alone, which means
    /// this machine.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.starts_with("unix:") {
            return Err(AddressError::Scheme("unix".to_owned()));
        }
        let (rest, default_port) = match text.split_once("://") {
            Some(("http", rest)) => (rest, Some(80)),
            Some((scheme, _)) => return Err(AddressError::Scheme(scheme.to_owned())),
            None => (text, None),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(start) = rest.find(['/', '?', '#']) {
            return Err(AddressError::Path(rest[start..].to_owned()));
        }
        let (host, port) =
            split_port(rest, default_port).ok_or_else(|| AddressError::Port(text.to_owned()))?;
        let host =
            HostName::parse(host).map_err(|error| AddressError::Host(host.to_owned(), error))?;
        Ok(Self { host, port })
    }

    /// The host to resolve.
    #[must_use]
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
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
        match self.host.as_str().contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
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
        ] {
            assert_eq!(Address::parse(written).unwrap().to_string(), address);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_fix() {
        for (written, part) in [
            ("ftp://app:3000", "instead of `ftp://`"),
            ("unix:/run/app.sock", "instead of `unix://`"),
            ("http://app:3000/api", "leave out `/api`"),
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
        }
    }
}
