//! The facts of the connection that a request came on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::client_identity::{ClientIdentity, ClientPolicy};
use super::forwarding_chain::ForwardingChain;
use super::trusted_proxies::TrustedProxies;
use crate::name::HostName;

/// The facts of one client connection, the same for all its requests.
#[derive(Clone, Debug)]
pub struct ConnInfo {
    /// The peer's address, or the one for which a trusted peer has opened the connection.
    pub client: SocketAddr,
    /// What the client has reached.
    pub local: SocketAddr,
    /// The name that the client asked for in its TLS handshake.
    pub sni: Option<HostName>,
    /// Whether it speaks TLS 1.3.
    pub is_tls13: bool,
    forwarded_for: HeaderValue,
    /// Trusted proxies, if the peer is one of them.
    trust: Option<Arc<TrustedProxies>>,
    identity: Option<Box<ClientIdentity>>,
    has_forwarded: bool,
}

impl ConnInfo {
    /// The facts of a TLS connection from `client`, whose fields about clients are not trusted.
    #[must_use]
    pub fn new(client: SocketAddr, sni: Option<HostName>) -> Self {
        Self {
            client,
            local: (Ipv4Addr::UNSPECIFIED, 0).into(),
            sni,
            is_tls13: false,
            forwarded_for: HeaderValue::try_from(client.ip().to_string())
                .expect("an IP address is written in visible ASCII"),
            trust: None,
            identity: None,
            has_forwarded: false,
        }
    }

    /// Sets the address that the client has reached.
    #[must_use]
    pub fn reaching(self, local: SocketAddr) -> Self {
        Self { local, ..self }
    }

    /// Trusts the peer, which is among `trust`, in what it says of clients.
    #[must_use]
    pub fn trusting(self, trust: Arc<TrustedProxies>) -> Self {
        Self {
            trust: Some(trust),
            ..self
        }
    }

    /// Sets the outcome of asking the client for a certificate.
    #[must_use]
    pub fn identified(self, identity: ClientIdentity) -> Self {
        Self {
            identity: Some(Box::new(identity)),
            ..self
        }
    }

    /// Tells the backend of the client in the field Forwarded too.
    #[must_use]
    pub fn with_forwarded(self) -> Self {
        Self {
            has_forwarded: true,
            ..self
        }
    }

    /// Address of the client that sent a request with these fields: that of the connection, or the one that a trusted peer
    /// speaks for. It is the same before and after the fields were made ready for the backend.
    #[must_use]
    pub fn client_ip(&self, headers: &HeaderMap) -> IpAddr {
        match &self.trust {
            None => self.client.ip(),
            Some(trust) => ForwardingChain::of(headers, self.client.ip(), trust).client(),
        }
    }

    /// Address of the client with its port, which is 0 where a trusted peer speaks for another: it does not tell the port.
    #[must_use]
    pub fn client_addr(&self, headers: &HeaderMap) -> SocketAddr {
        let ip = self.client_ip(headers);
        if ip == self.client.ip() {
            self.client
        } else {
            (ip, 0).into()
        }
    }

    /// Address of the client as text, where a trusted peer speaks for it.
    pub(in crate::proxy) fn forwarded_client(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        self.trust.as_ref()?;
        HeaderValue::try_from(self.client_ip(headers).to_string()).ok()
    }

    /// The value of X-Forwarded-For, made once for all requests.
    #[must_use]
    pub fn forwarded_for(&self) -> &HeaderValue {
        &self.forwarded_for
    }

    pub(in crate::proxy) fn trust(&self) -> Option<&TrustedProxies> {
        self.trust.as_deref()
    }

    pub(in crate::proxy) fn identity(&self) -> Option<&ClientIdentity> {
        self.identity.as_deref()
    }

    /// How the client was asked for a certificate, if it was.
    pub(in crate::proxy) fn client_policy(&self) -> Option<&ClientPolicy> {
        self.identity().map(ClientIdentity::policy)
    }

    pub(in crate::proxy) fn has_forwarded(&self) -> bool {
        self.has_forwarded
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

    #[test]
    fn only_a_trusted_peer_may_speak_for_another() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.7"));
        let conn = ConnInfo::new("10.0.0.1:1".parse().unwrap(), None);
        assert_eq!(conn.client_ip(&headers).to_string(), "10.0.0.1");
        let trust = Arc::new(TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]));
        let conn = conn.trusting(trust);
        assert_eq!(conn.client_ip(&headers).to_string(), "192.0.2.7");
    }
}
