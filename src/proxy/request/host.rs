//! The host of a request.

use std::net::Ipv6Addr;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, Version};

use crate::proxy::error::Error;

/// Host of a request as the client wrote it: valid, but in any case and perhaps with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    value: HeaderValue,
    name_len: usize,
    is_field: bool,
}

impl Host {
    /// Reads the host of `request`. The target's authority (HTTP/2, absolute form) precedes the Host field. HTTP/1.1
    /// requires exactly one such field (RFC 9112 section 3.2), and HTTP/2 and HTTP/3 that both agree.
    pub(crate) fn of<B>(request: &Request<B>) -> Result<Self, Error> {
        let field = single(request.headers())?;
        match (request.uri().authority(), field, request.version()) {
            (None, Some(field), _) => Self::new(field.clone(), true),
            (None, None, _) => Err(Error::Host),
            (Some(authority), None, Version::HTTP_2 | Version::HTTP_3) => {
                Self::parse(authority.as_str())
            }
            (Some(authority), Some(field), Version::HTTP_2 | Version::HTTP_3) => {
                let is_same = field
                    .as_bytes()
                    .eq_ignore_ascii_case(authority.as_str().as_bytes());
                if is_same {
                    Self::new(field.clone(), true)
                } else {
                    Err(Error::Host)
                }
            }
            (Some(authority), Some(_), _) => Self::parse(authority.as_str()),
            (Some(_), None, _) => Err(Error::Host),
        }
    }

    /// Placeholder for a host that was not read yet.
    pub(crate) fn none() -> Self {
        Self {
            value: HeaderValue::from_static(""),
            name_len: 0,
            is_field: false,
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let value = HeaderValue::from_str(text).map_err(|_| Error::Host)?;
        Self::new(value, false)
    }

    fn new(value: HeaderValue, is_field: bool) -> Result<Self, Error> {
        let text = value.to_str().map_err(|_| Error::Host)?;
        let name_len = split(text).ok_or(Error::Host)?.len();
        Ok(Self {
            value,
            name_len,
            is_field,
        })
    }

    /// `true` if the request's Host field has this value already.
    pub(crate) fn is_field(&self) -> bool {
        self.is_field
    }

    /// Host without its port.
    pub(crate) fn name(&self) -> &str {
        self.value
            .to_str()
            .ok()
            .and_then(|text| text.get(..self.name_len))
            .unwrap_or_default()
    }

    /// Host with its port, as a field value.
    pub(crate) fn value(&self) -> &HeaderValue {
        &self.value
    }
}

fn single(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Error> {
    let mut fields = headers.get_all(HOST).iter();
    match (fields.next(), fields.next()) {
        (_, Some(_)) => Err(Error::Host),
        (field, None) => Ok(field),
    }
}

/// Returns the name in `name[:port]`, if both are well formed.
pub(crate) fn split(text: &str) -> Option<&str> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + 2;
            let (name, rest) = text.split_at(end);
            match rest.strip_prefix(':') {
                Some(port) => (name, port),
                None if rest.is_empty() => (name, ""),
                None => return None,
            }
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let is_port = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    (is_port && is_name(name)).then_some(name)
}

fn is_name(name: &str) -> bool {
    if let Some(inner) = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    let bare = name.strip_suffix('.').unwrap_or(name);
    bare.len() <= 253
        && bare.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(target: &str, fields: &[&str], version: Version) -> Result<String, Error> {
        let mut request = Request::builder().uri(target).version(version);
        for field in fields {
            request = request.header(HOST, *field);
        }
        Host::of(&request.body(()).unwrap()).map(|host| {
            assert!(host.value().to_str().unwrap().starts_with(host.name()));
            host.name().to_owned()
        })
    }

    #[test]
    fn a_single_valid_host_field_is_accepted() {
        for (field, name) in [
            ("www.example.org", "www.example.org"),
            ("WWW.example.org.:8443", "WWW.example.org."),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:8443", "[::1]"),
            ("[::1]", "[::1]"),
            ("a_b.example.org:", "a_b.example.org"),
        ] {
            assert_eq!(host("/", &[field], Version::HTTP_11).unwrap(), name);
        }
    }

    #[test]
    fn invalid_hosts_are_refused() {
        for field in [
            "",
            ":443",
            "a@example.org",
            "a,example.org",
            "a example.org",
            "example.org/",
            "example..org",
            ".example.org",
            "example.org:80x",
            "example.org:123456",
            "a:b:80",
            "::1",
            "[::1",
            "[::1]x",
            "[zz]",
            "*.example.org",
        ] {
            assert!(host("/", &[field], Version::HTTP_11).is_err(), "{field:?}");
        }
    }

    #[test]
    fn missing_or_repeated_host_fields_are_refused() {
        for version in [
            Version::HTTP_10,
            Version::HTTP_11,
            Version::HTTP_2,
            Version::HTTP_3,
        ] {
            assert!(host("/", &[], version).is_err());
            assert!(host("/", &["a.example", "a.example"], version).is_err());
        }
        assert!(host("http://a.example/", &[], Version::HTTP_11).is_err());
    }

    #[test]
    fn the_targets_authority_precedes_the_host_field() {
        let absolute = "http://a.example:80/x";
        assert_eq!(
            host(absolute, &["b.example"], Version::HTTP_11).unwrap(),
            "a.example"
        );
        assert_eq!(
            host("https://a.example/", &[], Version::HTTP_2).unwrap(),
            "a.example"
        );
        assert!(host("http://u@a.example/", &["a.example"], Version::HTTP_11).is_err());
    }

    #[test]
    fn the_two_hosts_of_an_http2_request_must_agree() {
        let target = "https://a.example/";
        assert!(host(target, &["A.example"], Version::HTTP_2).is_ok());
        assert!(host(target, &["b.example"], Version::HTTP_2).is_err());
    }
}
