//! What the service is told of the connection that a request came on.

use std::net::SocketAddr;

use http::HeaderValue;

use crate::name::HostName;

/// The facts of one client connection, the same for all its requests.
#[derive(Clone, Debug)]
pub struct ConnInfo {
    /// The client's address.
    pub client: SocketAddr,
    /// The name that the client asked for in its TLS handshake.
    pub sni: Option<HostName>,
    forwarded_for: HeaderValue,
}

impl ConnInfo {
    /// The facts of a TLS connection from `client`.
    #[must_use]
    pub fn new(client: SocketAddr, sni: Option<HostName>) -> Self {
        Self {
            client,
            sni,
            forwarded_for: HeaderValue::try_from(client.ip().to_string())
                .expect("an IP address is written in visible ASCII"),
        }
    }

    /// The value of X-Forwarded-For, made once for all requests.
    #[must_use]
    pub fn forwarded_for(&self) -> &HeaderValue {
        &self.forwarded_for
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_told_as_one_address_without_its_port() {
        for (client, value) in [
            ("192.0.2.7:40000", "192.0.2.7"),
            ("[2001:db8::7]:40000", "2001:db8::7"),
        ] {
            let conn = ConnInfo::new(client.parse().unwrap(), None);
            assert_eq!(conn.forwarded_for(), value);
        }
    }
}
