//! Cookie that keeps a client at its backend. Its value is only a signature of the backend's address, so that a client
//! can neither read the address nor choose another backend.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// Number of bytes of the signature in the cookie; too many to guess.
const TAG_SIZE: usize = 16;
/// Prefix of the signed text, so that the signature is useless for any other purpose of the same key.
const PURPOSE: &[u8] = b"proxy backend cookie\0";
const ATTRIBUTES: &str = "Path=/; HttpOnly; SameSite=Lax";
/// Prefixes of names that browsers accept only together with `Secure`.
const SECURE_PREFIXES: [&str; 2] = ["__Host-", "__Secure-"];

/// `true` if `name` is a valid cookie name (RFC 6265 section 4.1.1).
#[must_use]
pub fn is_cookie_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Cookies for the backends of one upstream, in the same order. Browsers keep no `Secure` cookie from plain HTTP, so clients
/// without TLS get one without it and without the prefixes that demand it.
pub(in crate::upstream) struct StickyCookie {
    name: String,
    /// Length of the prefix that the name has over TLS only.
    prefix: usize,
    tags: Box<[Tag]>,
}

struct Tag {
    value: String,
    over_tls: HeaderValue,
    plain: HeaderValue,
}

impl StickyCookie {
    /// Cookies with this name, one for each address, signed with `key`.
    pub(in crate::upstream) fn new(
        name: &str,
        key: &[u8],
        addresses: impl Iterator<Item = String>,
    ) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let is_prefix = |prefix: &&str| {
            let start = name.get(..prefix.len());
            name.len() > prefix.len() && start.is_some_and(|it| it.eq_ignore_ascii_case(prefix))
        };
        let prefix = SECURE_PREFIXES.into_iter().find(is_prefix);
        let prefix = prefix.map_or(0, str::len);
        let tag = |address: String| {
            let signed = hmac::sign(&key, &[PURPOSE, address.as_bytes()].concat());
            let value = URL_SAFE_NO_PAD.encode(&signed.as_ref()[..TAG_SIZE]);
            let header = |text: String| {
                HeaderValue::try_from(text).expect("a cookie's name and base64 are visible ASCII")
            };
            Tag {
                over_tls: header(format!("{name}={value}; {ATTRIBUTES}; Secure")),
                plain: header(format!("{}={value}; {ATTRIBUTES}", &name[prefix..])),
                value,
            }
        };
        Self {
            name: name.to_owned(),
            prefix,
            tags: addresses.map(tag).collect(),
        }
    }

    /// Returns the backend whose cookie a request has. Ignores cookies with another value.
    pub(in crate::upstream) fn find(&self, headers: &HeaderMap, is_secure: bool) -> Option<usize> {
        let own = if is_secure {
            &self.name
        } else {
            &self.name[self.prefix..]
        };
        let fields = headers.get_all(COOKIE).iter();
        let mut values = fields
            .filter_map(|field| field.to_str().ok())
            .flat_map(|field| field.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == own)
            .map(|(_, value)| value);
        values.find_map(|value| {
            let is_equal =
                |tag: &Tag| verify_slices_are_equal(tag.value.as_bytes(), value.as_bytes()).is_ok();
            self.tags.iter().position(is_equal)
        })
    }

    /// Adds the cookie of this backend to the header fields of a response.
    pub(in crate::upstream) fn set(
        &self,
        backend: usize,
        headers: &mut HeaderMap,
        is_secure: bool,
    ) {
        let Tag {
            over_tls, plain, ..
        } = &self.tags[backend];
        let cookie = if is_secure { over_tls } else { plain };
        headers.append(SET_COOKIE, cookie.clone());
    }
}

impl fmt::Debug for StickyCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StickyCookie")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sticky(secret: &[u8]) -> StickyCookie {
        let addresses = ["10.0.0.1:3000", "10.0.0.2:3000"].map(str::to_owned);
        StickyCookie::new("backend", secret, addresses.into_iter())
    }

    fn request(cookies: &[&str]) -> HeaderMap {
        let cookies = cookies.iter().map(|cookie| {
            let value = HeaderValue::from_str(cookie).unwrap();
            (COOKIE, value)
        });
        cookies.collect()
    }

    fn cookie(sticky: &StickyCookie, backend: usize) -> String {
        let mut headers = HeaderMap::new();
        sticky.set(backend, &mut headers, true);
        let header = headers[SET_COOKIE].to_str().unwrap();
        let (cookie, attributes) = header.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax; Secure");
        cookie.to_owned()
    }

    #[test]
    fn over_plain_http_a_cookie_has_no_prefix_and_is_not_secure() {
        for (name, plain) in [
            ("__Host-backend", "backend"),
            ("__Secure-backend", "backend"),
            ("__host-backend", "backend"),
            ("backend", "backend"),
            ("__Host-", "__Host-"),
        ] {
            let addresses = ["10.0.0.1:3000".to_owned()];
            let sticky = StickyCookie::new(name, b"secret", addresses.into_iter());
            let mut headers = HeaderMap::new();
            sticky.set(0, &mut headers, false);
            let header = headers[SET_COOKIE].to_str().unwrap();
            let (own, attributes) = header.split_once("; ").unwrap();
            assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax");
            assert!(own.starts_with(&format!("{plain}=")), "{own}");
            assert_eq!(sticky.find(&request(&[own]), false), Some(0));
            let over_tls = cookie(&sticky, 0);
            assert!(over_tls.starts_with(&format!("{name}=")), "{over_tls}");
            assert_eq!(sticky.find(&request(&[&over_tls]), true), Some(0));
        }
    }

    #[test]
    fn a_cookie_is_found_among_other_cookies() {
        let sticky = sticky(b"secret");
        for backend in [0, 1] {
            let own = cookie(&sticky, backend);
            let several = format!("a=b; {own}; c=d");
            assert_eq!(
                sticky.find(&request(&["x=y", &several]), true),
                Some(backend)
            );
        }
        let both = format!("backend=stale; {}", cookie(&sticky, 1));
        assert_eq!(sticky.find(&request(&[&both]), true), Some(1));
        assert_eq!(sticky.find(&request(&[]), true), None);
    }

    #[test]
    fn a_cookie_hides_the_address_and_cannot_be_forged() {
        let ours = sticky(b"secret");
        let own = cookie(&ours, 0);
        assert!(!own.contains("10.0.0.1"));
        let mut changed = own.clone();
        changed.pop();
        for forged in [
            "backend=10.0.0.1:3000",
            "backend=0",
            "backend=",
            "backend",
            &changed,
            &own.replacen("backend", "Backend", 1),
            &cookie(&sticky(b"other"), 0),
        ] {
            assert_eq!(ours.find(&request(&[forged]), true), None, "{forged}");
        }
    }
}
