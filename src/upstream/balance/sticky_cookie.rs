//! The cookie that keeps a client at its backend. It is a signature and nothing else, so that a client can neither learn
//! an address from it nor name one.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// Bytes of a signature that are written; too many to guess.
const TAG_SIZE: usize = 16;
/// Keeps the signatures apart from all others that the same key may make.
const PURPOSE: &[u8] = b"proxy backend cookie\0";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// `true` if `name` may be the name of a cookie (RFC 6265 section 4.1.1).
#[must_use]
pub fn is_cookie_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The cookies of one upstream's backends, in their order.
pub(in crate::upstream) struct StickyCookie {
    name: String,
    tags: Box<[Tag]>,
}

struct Tag {
    value: String,
    header: HeaderValue,
}

impl StickyCookie {
    /// Cookies of this name, one for each address, signed with `key`.
    pub(in crate::upstream) fn new(
        name: &str,
        key: &[u8],
        addresses: impl Iterator<Item = String>,
    ) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let tag = |address: String| {
            let signed = hmac::sign(&key, &[PURPOSE, address.as_bytes()].concat());
            let value = URL_SAFE_NO_PAD.encode(&signed.as_ref()[..TAG_SIZE]);
            let header = HeaderValue::try_from(format!("{name}={value}; {ATTRIBUTES}"))
                .expect("a cookie's name and base64 are visible ASCII");
            Tag { value, header }
        };
        Self {
            name: name.to_owned(),
            tags: addresses.map(tag).collect(),
        }
    }

    /// The backend whose cookie a request carries. A cookie with another signature counts as none.
    pub(in crate::upstream) fn find(&self, headers: &HeaderMap) -> Option<usize> {
        let fields = headers.get_all(COOKIE).iter();
        let mut values = fields
            .filter_map(|field| field.to_str().ok())
            .flat_map(|field| field.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.name)
            .map(|(_, value)| value);
        values.find_map(|value| {
            let is_it =
                |tag: &Tag| verify_slices_are_equal(tag.value.as_bytes(), value.as_bytes()).is_ok();
            self.tags.iter().position(is_it)
        })
    }

    /// Adds the cookie that keeps the client at this backend from now on.
    pub(in crate::upstream) fn set(&self, backend: usize, headers: &mut HeaderMap) {
        headers.append(SET_COOKIE, self.tags[backend].header.clone());
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
        sticky.set(backend, &mut headers);
        let header = headers[SET_COOKIE].to_str().unwrap();
        let (cookie, attributes) = header.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
        cookie.to_owned()
    }

    #[test]
    fn a_cookie_leads_back_to_its_backend_among_others() {
        let sticky = sticky(b"secret");
        for backend in [0, 1] {
            let own = cookie(&sticky, backend);
            let crowd = format!("a=b; {own}; c=d");
            assert_eq!(sticky.find(&request(&["x=y", &crowd])), Some(backend));
        }
        let both = format!("backend=stale; {}", cookie(&sticky, 1));
        assert_eq!(sticky.find(&request(&[&both])), Some(1));
        assert_eq!(sticky.find(&request(&[])), None);
    }

    #[test]
    fn a_cookie_tells_no_address_and_none_can_be_forged() {
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
            assert_eq!(ours.find(&request(&[forged])), None, "{forged}");
        }
    }
}
