//! The chain of trusted proxies that a request passed. It is read from the right, since clients can write anything at
//! the left.

use std::net::IpAddr;

use http::header::{FORWARDED, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::forwarded_field::{Element, parse_node};
use super::header_scan::single_field;
use super::trusted_proxies::TrustedProxies;
use super::{forwarded_field, host};

pub(crate) const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Facts about the client of a request that came through a trusted peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardingChain {
    /// Addresses from the peer to the client. Never empty.
    nearest_first: Vec<IpAddr>,
    /// Scheme in which the client spoke to the first proxy, if known.
    pub(crate) proto: Option<&'static str>,
    /// Host that the client asked for, if known.
    pub(crate) host: Option<HeaderValue>,
}

impl ForwardingChain {
    /// Follows X-Forwarded-For, or Forwarded if that field is absent, from `peer` to the first host that is not
    /// trusted. Stops before an element that is not an address, since nothing can be known beyond it.
    pub(crate) fn of(headers: &HeaderMap, peer: IpAddr, trust: &TrustedProxies) -> Self {
        let mut chain = Self {
            nearest_first: vec![peer],
            proto: proto(headers),
            host: forwarded_host(headers),
        };
        if headers.contains_key(FOR) {
            chain.follow(claims(headers).map(parse_node), trust);
        } else {
            chain.follow_forwarded(headers, trust);
        }
        chain
    }

    fn follow(&mut self, claims: impl Iterator<Item = Option<IpAddr>>, trust: &TrustedProxies) {
        for claim in claims {
            let Some(address) = claim else { return };
            if !trust.contains(self.client()) {
                return;
            }
            self.nearest_first.push(address);
        }
    }

    fn follow_forwarded(&mut self, headers: &HeaderMap, trust: &TrustedProxies) {
        let fields = headers.get_all(FORWARDED).iter().rev();
        let elements: Vec<_> = fields
            .flat_map(|field| forwarded_field::parse(field).into_iter().rev())
            .collect();
        self.follow(elements.iter().map(|element| element.node), trust);
        let followed = self.nearest_first.len() - 1;
        if let Some(Element { proto, host, .. }) =
            followed.checked_sub(1).and_then(|last| elements.get(last))
        {
            let proto = proto.as_deref().and_then(known_proto);
            let host = host.as_deref().and_then(valid_host);
            self.proto = self.proto.or(proto);
            self.host = self.host.take().or(host);
        }
    }

    /// Address of the client.
    pub(crate) fn client(&self) -> IpAddr {
        self.nearest_first[self.nearest_first.len() - 1]
    }

    /// All addresses, the client first.
    pub(crate) fn client_first(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.nearest_first.iter().rev().copied()
    }
}

/// Elements of X-Forwarded-For from right to left.
fn claims(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let fields = headers.get_all(FOR).iter().rev();
    fields
        .flat_map(|field| field.to_str().unwrap_or("unreadable").rsplit(','))
        .map(str::trim)
        .filter(|claim| !claim.is_empty())
}

fn proto(headers: &HeaderMap) -> Option<&'static str> {
    known_proto(single_field(headers, &PROTO)?.to_str().ok()?)
}

fn known_proto(text: &str) -> Option<&'static str> {
    ["https", "http", "wss", "ws"]
        .into_iter()
        .find(|known| text.eq_ignore_ascii_case(known))
}

fn forwarded_host(headers: &HeaderMap) -> Option<HeaderValue> {
    valid_host(single_field(headers, &FORWARDED_HOST)?.to_str().ok()?)
}

fn valid_host(text: &str) -> Option<HeaderValue> {
    host::split(text)?;
    HeaderValue::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trust() -> TrustedProxies {
        TrustedProxies::new(["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()))
    }

    fn read_chain(peer: &str, fields: &[(&'static str, &str)]) -> ForwardingChain {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        ForwardingChain::of(&headers, peer.parse().unwrap(), &trust())
    }

    #[test]
    fn the_client_is_the_rightmost_untrusted_address() {
        for (fields, client) in [
            (&["192.0.2.7"][..], "192.0.2.7"),
            (&["203.0.113.9, 192.0.2.7"], "192.0.2.7"),
            (&["203.0.113.9, 192.0.2.7, 10.0.0.2,10.0.0.3"], "192.0.2.7"),
            (&["203.0.113.9", "192.0.2.7", "10.0.0.2"], "192.0.2.7"),
            (&["10.0.0.9, 10.0.0.2"], "10.0.0.9"),
            (&["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["unknown"], "10.0.0.1"),
            (&["192.0.2.7:4711, [fd00::1]:80, fd00::2"], "192.0.2.7"),
            (&["2001:db8::7, , ::ffff:10.0.0.4,"], "2001:db8::7"),
            (&[""], "10.0.0.1"),
        ] {
            let fields: Vec<_> = fields.iter().map(|it| ("x-forwarded-for", *it)).collect();
            let found = read_chain("10.0.0.1", &fields).client();
            assert_eq!(found.to_string(), client, "{fields:?}");
        }
    }

    #[test]
    fn forwarded_is_read_only_without_x_forwarded_for() {
        let forwarded = (
            "forwarded",
            "for=203.0.113.9;proto=ws, for=192.0.2.7;proto=http;host=a.example, for=10.0.0.2",
        );
        let alone = read_chain("10.0.0.1", &[forwarded]);
        assert_eq!(alone.client().to_string(), "192.0.2.7");
        assert_eq!(alone.proto, Some("http"));
        assert_eq!(alone.host.unwrap(), "a.example");
        let both = read_chain("10.0.0.1", &[("x-forwarded-for", "192.0.2.8"), forwarded]);
        assert_eq!(both.client().to_string(), "192.0.2.8");
        assert_eq!(both.proto, None);
    }

    #[test]
    fn proto_and_host_are_kept_if_single_and_valid() {
        let kept = read_chain(
            "10.0.0.1",
            &[
                ("x-forwarded-proto", "HTTP"),
                ("x-forwarded-host", "a.example:8080"),
            ],
        );
        assert_eq!(kept.proto, Some("http"));
        assert_eq!(kept.host.unwrap(), "a.example:8080");
        for (name, values) in [
            ("x-forwarded-proto", &["http", "https"][..]),
            ("x-forwarded-proto", &["http, https"]),
            ("x-forwarded-proto", &["gopher"]),
            ("x-forwarded-host", &["a.example", "b.example"]),
            ("x-forwarded-host", &["a.example, b.example"]),
            ("x-forwarded-host", &["a.example/x"]),
        ] {
            let fields: Vec<_> = values.iter().map(|value| (name, *value)).collect();
            let fresh = read_chain("10.0.0.1", &fields);
            assert!(fresh.proto.is_none() && fresh.host.is_none(), "{fields:?}");
        }
    }

    /// Recursive model: each trusted host names the address it spoke for.
    fn model(peer: IpAddr, chain: &[Option<IpAddr>]) -> Vec<IpAddr> {
        match chain.split_last() {
            Some((Some(named), rest)) if trust().contains(peer) => {
                let mut chain = model(*named, rest);
                chain.push(peer);
                chain
            }
            _ => vec![peer],
        }
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<[u8; 3]>().prop_map(|[a, b, c]| IpAddr::from([10, a, b, c])),
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u16; 7]>()
                .prop_map(|s| IpAddr::from([0xfd00, s[0], s[1], s[2], s[3], s[4], s[5], s[6]])),
            any::<[u16; 8]>().prop_map(|segments| IpAddr::from(segments).to_canonical()),
        ]
    }

    proptest! {
        #[test]
        fn the_chain_agrees_with_the_model(
            peer in address(),
            chain in prop::collection::vec(prop::option::weighted(0.9, address()), 0..8),
            cut in 0usize..8,
            as_forwarded: bool,
        ) {
            let texts: Vec<_> = chain.iter().map(|hop| match (hop, as_forwarded) {
                (Some(IpAddr::V6(ip)), true) => format!("for=\"[{ip}]\""),
                (Some(ip), true) => format!("for={ip}"),
                (Some(ip), false) => ip.to_string(),
                (None, true) => "for=_hidden".to_owned(),
                (None, false) => "unknown".to_owned(),
            }).collect();
            let (one, other) = texts.split_at(cut.min(texts.len()));
            let name = if as_forwarded { "forwarded" } else { "x-forwarded-for" };
            let (one, other) = (one.join(", "), other.join(","));
            let found = read_chain(&peer.to_string(), &[(name, &one), (name, &other)]);
            let found: Vec<_> = found.client_first().collect();
            prop_assert_eq!(found, model(peer, &chain));
        }
    }
}
