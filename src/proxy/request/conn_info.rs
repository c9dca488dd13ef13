//! Facts of the connection on which a request arrived.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::client_address::ForwardingChain;
use super::client_certificate::{ClientIdentity, ClientPolicy};
use super::trusted_proxies::TrustedProxies;
use crate::listener_names::ListenerId;
use crate::memory::ConnectionMemory;
use crate::name::HostName;
use crate::upstream::{BoundConnections, ClientAddresses, ClientShare};

/// Facts of one client connection, shared by all its requests.
#[derive(Clone, Debug)]
pub struct ConnInfo {
    /// Address of the peer, or the one that a trusted peer named in a PROXY header.
    pub client: SocketAddr,
    /// Address that the client connected to.
    pub local: SocketAddr,
    /// Listener that accepted the connection.
    pub listener: ListenerId,
    /// Server name from the client's TLS handshake.
    pub sni: Option<HostName>,
    /// Whether the connection uses TLS.
    pub is_tls: bool,
    /// Whether the connection uses TLS 1.3.
    pub is_tls13: bool,
    forwarded_for: HeaderValue,
    /// Trusted proxies, if the peer is one of them.
    trust: Option<Arc<TrustedProxies>>,
    identity: Option<Box<ClientIdentity>>,
    /// Value of Alt-Svc for all responses.
    alt_svc: Option<HeaderValue>,
    has_forwarded: bool,
    share: Option<Arc<ClientShare>>,
    memory: Option<Arc<ConnectionMemory>>,
    /// Connections to backends on which the client's user may be logged in.
    bound: BoundConnections,
}

impl ConnInfo {
    /// Creates the facts of a TLS connection from `client`, which is not trusted to speak for other clients.
    #[must_use]
    pub fn new(client: SocketAddr, sni: Option<HostName>) -> Self {
        Self {
            client,
            local: (Ipv4Addr::UNSPECIFIED, 0).into(),
            listener: ListenerId::default(),
            sni,
            is_tls: true,
            is_tls13: false,
            forwarded_for: HeaderValue::try_from(client.ip().to_string())
                .expect("an IP address is written in visible ASCII"),
            trust: None,
            identity: None,
            alt_svc: None,
            has_forwarded: false,
            share: None,
            memory: None,
            bound: BoundConnections::default(),
        }
    }

    /// Bounds the connections to backends that the client holds at a time, over all its own connections.
    #[must_use]
    pub fn sharing(self, share: Arc<ClientShare>) -> Self {
        Self {
            share: Some(share),
            ..self
        }
    }

    /// Counts in `memory` what the proxy holds for requests of the connection.
    #[must_use]
    pub fn holding(self, memory: Arc<ConnectionMemory>) -> Self {
        Self {
            memory: Some(memory),
            ..self
        }
    }

    /// Sets the address that the client connected to.
    #[must_use]
    pub fn reaching(self, local: SocketAddr) -> Self {
        Self { local, ..self }
    }

    /// Sets the listener that accepted the connection.
    #[must_use]
    pub fn accepted_by(self, listener: ListenerId) -> Self {
        Self { listener, ..self }
    }

    /// Copies the facts for a client that has moved to another address.
    #[must_use]
    pub fn moved_to(&self, client: SocketAddr) -> Self {
        let moved = Self::new(client, None);
        Self {
            client,
            forwarded_for: moved.forwarded_for,
            ..self.clone()
        }
    }

    /// Says that the connection has no TLS.
    #[must_use]
    pub fn without_tls(self) -> Self {
        Self {
            is_tls: false,
            ..self
        }
    }

    /// Trusts the peer, which is one of `trust`, to speak for other clients.
    #[must_use]
    pub fn trusting(mut self, trust: Arc<TrustedProxies>) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Sets the outcome of a handshake in which the client was asked for a certificate.
    #[must_use]
    pub fn identified(mut self, identity: ClientIdentity) -> Self {
        self.identity = Some(Box::new(identity));
        self
    }

    /// Tells the client in all responses of another protocol that it may use.
    #[must_use]
    pub fn with_alt_svc(mut self, alt_svc: Option<&HeaderValue>) -> Self {
        self.alt_svc = alt_svc.cloned();
        self
    }

    /// Value of Alt-Svc, if responses have one.
    pub(crate) fn alt_svc(&self) -> Option<&HeaderValue> {
        self.alt_svc.as_ref()
    }

    /// Sends the field Forwarded to the backend too.
    #[must_use]
    pub fn with_forwarded(mut self) -> Self {
        self.has_forwarded = true;
        self
    }

    /// Address of the client that sent a request with these fields: that of the connection, or the one that a trusted
    /// peer speaks for. It is the same before and after the fields are prepared for the backend.
    #[must_use]
    pub fn client_ip(&self, headers: &HeaderMap) -> IpAddr {
        match &self.trust {
            None => self.client.ip(),
            Some(trust) => ForwardingChain::of(headers, self.client.ip(), trust).client(),
        }
    }

    /// Address of the client with its port. The port is 0 if a trusted peer speaks for the client, since it names none.
    #[must_use]
    pub fn client_addr(&self, headers: &HeaderMap) -> SocketAddr {
        let ip = self.client_ip(headers);
        if ip == self.client.ip() {
            self.client
        } else {
            (ip, 0).into()
        }
    }

    /// Addresses of the client's connection, for a backend that is sent a PROXY header.
    pub(crate) fn client_addresses(&self, headers: &HeaderMap) -> ClientAddresses {
        ClientAddresses {
            source: self.client_addr(headers),
            destination: self.local,
        }
    }

    /// Address of the client as text, if the peer is trusted to speak for it.
    pub(crate) fn forwarded_client(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        self.trust.as_ref()?;
        HeaderValue::try_from(self.client_ip(headers).to_string()).ok()
    }

    /// Scheme of the requests, as far as the connection shows it.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// `true` if the client's own connection uses TLS: this one, or that of a trusted peer which says so in these fields.
    pub(crate) fn is_secure(&self, headers: &HeaderMap) -> bool {
        self.is_tls
            || self.trust().is_some_and(|trust| {
                let chain = ForwardingChain::of(headers, self.client.ip(), trust);
                matches!(chain.proto, Some("https" | "wss"))
            })
    }

    /// Value of X-Forwarded-For, built once for all requests.
    #[must_use]
    pub fn forwarded_for(&self) -> &HeaderValue {
        &self.forwarded_for
    }

    /// Share of the client in the connections to backends, if it has a bound.
    pub(crate) fn share(&self) -> Option<&Arc<ClientShare>> {
        self.share.as_ref()
    }

    /// Memory of the connection, if it is counted.
    pub(crate) fn memory(&self) -> Option<&Arc<ConnectionMemory>> {
        self.memory.as_ref()
    }

    /// `true` if the peer is trusted to speak for other clients.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.trust.is_some()
    }

    /// Connections to backends that belong to this connection. `None` if the peer is a trusted proxy, whose connection
    /// carries requests of many users.
    pub(crate) fn bound_connections(&self) -> Option<&BoundConnections> {
        self.trust.is_none().then_some(&self.bound)
    }

    pub(crate) fn trust(&self) -> Option<&TrustedProxies> {
        self.trust.as_deref()
    }

    pub(crate) fn identity(&self) -> Option<&ClientIdentity> {
        self.identity.as_deref()
    }

    /// Policy under which the client was asked for a certificate, if it was.
    pub(crate) fn client_policy(&self) -> Option<&ClientPolicy> {
        self.identity().map(ClientIdentity::policy)
    }

    pub(crate) fn has_forwarded(&self) -> bool {
        self.has_forwarded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_for_is_the_address_without_its_port() {
        for (client, value) in [
            ("192.0.2.7:40000", "192.0.2.7"),
            ("[2001:db8::7]:40000", "2001:db8::7"),
        ] {
            let conn = ConnInfo::new(client.parse().unwrap(), None);
            assert_eq!(conn.forwarded_for(), value);
        }
    }

    #[test]
    fn connections_to_backends_belong_to_no_trusted_proxy() {
        let conn = ConnInfo::new("10.0.0.1:1".parse().unwrap(), None);
        assert!(conn.bound_connections().is_some());
        let trust = Arc::new(TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]));
        assert!(conn.trusting(trust).bound_connections().is_none());
    }

    #[test]
    fn only_a_trusted_peer_may_speak_for_another_client() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.7"));
        let conn = ConnInfo::new("10.0.0.1:1".parse().unwrap(), None);
        assert_eq!(conn.client_ip(&headers).to_string(), "10.0.0.1");
        let trust = Arc::new(TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]));
        let conn = conn.trusting(trust);
        assert_eq!(conn.client_ip(&headers).to_string(), "192.0.2.7");
    }

    #[test]
    fn only_a_trusted_peer_may_say_that_the_client_uses_tls() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        let conn = || ConnInfo::new("10.0.0.1:1".parse().unwrap(), None).without_tls();
        assert!(!conn().is_secure(&headers));
        let trust = Arc::new(TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]));
        assert!(conn().trusting(Arc::clone(&trust)).is_secure(&headers));
        assert!(!conn().trusting(trust).is_secure(&HeaderMap::new()));
    }
}
