//! Who may see the page, and who may renew on it.

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{COOKIE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};

use super::page_options::PageOptions;

/// Text whose signature with the token is the value of the cookie.
const COOKIE_PURPOSE: &[u8] = b"cookie of the status page of proxy";
/// Text whose signature with the token is the key that requests to renew must have.
const RENEWAL_PURPOSE: &[u8] = b"renewals on the status page of proxy";
/// The field with that key. A page of another origin cannot set it.
pub(super) const RENEWAL_KEY: &str = "x-renewal-key";
/// Time for which browsers keep the cookie: 30 days.
const COOKIE_SECONDS: u32 = 30 * 24 * 3600;

/// Reason why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessRefusal {
    /// It names a host that is none of this machine: another web site may have sent the browser here (DNS rebinding).
    Host,
    /// Another web site has sent it.
    OtherOrigin,
    /// It has no valid cookie.
    NoCookie,
    /// The page has no token, so nobody may renew.
    NoToken,
    /// It does not have the key for renewals.
    NoRenewalKey,
}

/// Access to the page.
#[derive(Debug)]
pub(super) struct PageAccess {
    token: Option<Token>,
}

#[derive(Debug)]
struct Token {
    key: hmac::Key,
    /// Name of the cookie. It has the port, because browsers send cookies to all ports of a host.
    cookie: String,
    cookie_value: hmac::Tag,
    renewal_key: hmac::Tag,
}

impl PageAccess {
    /// Access to a page with these options that listens on this address.
    pub(super) fn new(options: &PageOptions, address: SocketAddr) -> Self {
        let token = options.token.as_ref().map(|token| {
            let key = key_of(token.expose());
            Token {
                cookie: format!("proxy-page-{}", address.port()),
                cookie_value: hmac::sign(&key, COOKIE_PURPOSE),
                renewal_key: hmac::sign(&key, RENEWAL_PURPOSE),
                key,
            }
        });
        Self { token }
    }

    /// Checks a request that shows something.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), AccessRefusal> {
        let Some(token) = &self.token else {
            // The cookie of a token is bound to its host, but without one, the host is all that tells pages apart.
            return if names_this_machine(headers) {
                Ok(())
            } else {
                Err(AccessRefusal::Host)
            };
        };
        let mut values = cookies(headers).filter(|(name, _)| *name == token.cookie);
        let is_valid = |value: &str| {
            let value = URL_SAFE_NO_PAD.decode(value);
            value.is_ok_and(|value| hmac::verify(&token.key, COOKIE_PURPOSE, &value).is_ok())
        };
        if values.any(|(_, value)| is_valid(value)) {
            Ok(())
        } else {
            Err(AccessRefusal::NoCookie)
        }
    }

    /// Checks a request that comes from a script or a form of the page itself.
    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), AccessRefusal> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let is_own = match headers.get(ORIGIN) {
            // A URL without a path, or `null`.
            Some(origin) => {
                let origin = origin.to_str().unwrap_or_default();
                let host = origin.split_once("://").map(|(_, host)| host);
                host.is_some() && host == text(HOST.as_str())
            }
            None => matches!(text("sec-fetch-site"), None | Some("same-origin" | "none")),
        };
        if is_own {
            Ok(())
        } else {
            Err(AccessRefusal::OtherOrigin)
        }
    }

    /// Checks a request to renew, beyond the checks of one that shows something.
    pub(super) fn check_renewal(&self, headers: &HeaderMap) -> Result<(), AccessRefusal> {
        let token = self.token.as_ref().ok_or(AccessRefusal::NoToken)?;
        self.check_origin(headers)?;
        let given = headers.get(RENEWAL_KEY).map(HeaderValue::as_bytes);
        let given = given.and_then(|given| URL_SAFE_NO_PAD.decode(given).ok());
        let is_valid =
            given.is_some_and(|given| hmac::verify(&token.key, RENEWAL_PURPOSE, &given).is_ok());
        if is_valid {
            Ok(())
        } else {
            Err(AccessRefusal::NoRenewalKey)
        }
    }

    /// Returns the key that requests to renew must have, if there can be any.
    pub(super) fn renewal_key(&self) -> Option<String> {
        let token = self.token.as_ref()?;
        Some(URL_SAFE_NO_PAD.encode(token.renewal_key.as_ref()))
    }

    /// Returns the cookie for a browser that has sent this token, if it is the right one.
    pub(super) fn cookie_for(&self, given: &str, headers: &HeaderMap) -> Option<HeaderValue> {
        let token = self.token.as_ref()?;
        // Takes the same time for each wrong token.
        let given = key_of(given.trim());
        hmac::verify(&given, COOKIE_PURPOSE, token.cookie_value.as_ref()).ok()?;
        let is_tls = headers.get("x-forwarded-proto");
        let secure = if is_tls.is_some_and(|protocol| protocol == "https") {
            "; Secure"
        } else {
            ""
        };
        let value = URL_SAFE_NO_PAD.encode(token.cookie_value.as_ref());
        let cookie = format!(
            "{}={value}; Max-Age={COOKIE_SECONDS}; Path=/; HttpOnly; SameSite=Strict{secure}",
            token.cookie
        );
        HeaderValue::try_from(cookie).ok()
    }
}

fn key_of(token: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes())
}

/// Returns the names and values of the cookies of a request.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let fields = headers.get_all(COOKIE).iter();
    let fields = fields.filter_map(|field| field.to_str().ok());
    let pairs = fields.flat_map(|field| field.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('='))
}

/// `true` if the request names `localhost` or a loopback address as its host.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let has_user = host.as_bytes().contains(&b'@');
    let host = authority.host();
    let ip = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    !has_user && (host.eq_ignore_ascii_case("localhost") || ip.parse().is_ok_and(is_loopback))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::Secret;

    const TOKEN: &str = "0123456789abcdef";

    fn access(token: Option<&str>) -> PageAccess {
        let address = "127.0.0.1:9180".parse().unwrap();
        let options = PageOptions {
            address,
            token: token.map(Secret::new),
        };
        PageAccess::new(&options, address)
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter();
        fields
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_page_without_a_token_is_for_hosts_of_this_machine_only() {
        let access = access(None);
        for (host, is_own) in [
            ("localhost:9180", true),
            ("LocalHost", true),
            ("127.0.0.1:9180", true),
            ("127.8.9.1", true),
            ("[::1]:9180", true),
            ("[::ffff:127.0.0.1]:9180", true),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("127.0.0.1@evil.example", false),
            ("evil.example@127.0.0.1", false),
            ("evil.example:9180", false),
            ("192.168.1.2:9180", false),
            ("", false),
        ] {
            let found = access.check(&headers(&[("host", host)]));
            assert_eq!(found.is_ok(), is_own, "{host}");
        }
        assert_eq!(access.check(&headers(&[])), Err(AccessRefusal::Host));
        let mut two = headers(&[("host", "localhost")]);
        two.append(HOST, HeaderValue::from_static("evil.example"));
        assert_eq!(access.check(&two), Err(AccessRefusal::Host));
        let renewal = access.check_renewal(&headers(&[("host", "localhost")]));
        assert_eq!(renewal, Err(AccessRefusal::NoToken));
    }

    #[test]
    fn a_token_is_exchanged_for_a_cookie_that_opens_the_page() {
        let access = access(Some(TOKEN));
        let none = headers(&[("host", "evil.example")]);
        assert_eq!(access.check(&none), Err(AccessRefusal::NoCookie));
        assert_eq!(access.cookie_for("0123456789abcdeX", &none), None);
        assert_eq!(access.cookie_for("", &none), None);
        let cookie = access.cookie_for(TOKEN, &none).unwrap();
        let cookie = cookie.to_str().unwrap();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(
            attributes,
            "Max-Age=2592000; Path=/; HttpOnly; SameSite=Strict"
        );
        assert!(pair.starts_with("proxy-page-9180="), "{pair}");
        assert!(!pair.contains(TOKEN));
        let both = format!("proxy-page-9180=x; a=b; {pair}");
        assert_eq!(access.check(&headers(&[("cookie", &both)])), Ok(()));
        let cut = headers(&[("cookie", &pair[..pair.len() - 1])]);
        assert_eq!(access.check(&cut), Err(AccessRefusal::NoCookie));
        let tls = headers(&[("x-forwarded-proto", "https")]);
        let cookie = access.cookie_for(TOKEN, &tls).unwrap();
        assert!(cookie.to_str().unwrap().ends_with("; Secure"));
    }

    #[test]
    fn a_renewal_needs_the_origin_of_the_page_and_its_key() {
        let access = access(Some(TOKEN));
        let key = access.renewal_key().unwrap();
        let (host, key) = (("host", "a.test:9180"), (RENEWAL_KEY, key.as_str()));
        for (fields, expected) in [
            (&[host, key][..], Ok(())),
            (&[host, key, ("origin", "http://a.test:9180")], Ok(())),
            (&[host, key, ("origin", "https://a.test:9180")], Ok(())),
            (&[host, key, ("sec-fetch-site", "same-origin")], Ok(())),
            (&[host], Err(AccessRefusal::NoRenewalKey)),
            (
                &[host, (RENEWAL_KEY, "AAAA")],
                Err(AccessRefusal::NoRenewalKey),
            ),
            (
                &[host, key, ("origin", "http://a.test")],
                Err(AccessRefusal::OtherOrigin),
            ),
            (
                &[host, key, ("origin", "http://evil.test")],
                Err(AccessRefusal::OtherOrigin),
            ),
            (
                &[host, key, ("origin", "null")],
                Err(AccessRefusal::OtherOrigin),
            ),
            (
                &[host, key, ("sec-fetch-site", "same-site")],
                Err(AccessRefusal::OtherOrigin),
            ),
            (&[key, ("origin", "null")], Err(AccessRefusal::OtherOrigin)),
        ] {
            assert_eq!(
                access.check_renewal(&headers(fields)),
                expected,
                "{fields:?}"
            );
        }
    }
}
