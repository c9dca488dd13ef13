//! Names of the fields that only a proxy sets, removes or frames a message by. The one rule by which two names are the
//! same: CGI, WSGI and PHP turn each character that is neither a letter nor a digit into `_`, so that an app reads
//! `X_Api.User` as `X-Api-User`.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName};

/// Fields that never pass: those of one connection (RFC 9110 section 7.6.1), and `Proxy`, from which CGI makes
/// `HTTP_PROXY`. The proxy sets some of them anew.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// `true` if an app may trust this field as information from a proxy about the client. `name` must be in lower case.
#[must_use]
pub fn is_client_field(name: &str) -> bool {
    let has_prefix = |prefix: &str| {
        name.get(..prefix.len())
            .is_some_and(|start| is_spelling_of(start, prefix))
    };
    match name.as_bytes().first() {
        Some(b'x') => {
            has_prefix("x-forwarded-")
                || has_prefix("x-client-cert-")
                || is_spelling_of(name, "x-real-ip")
        }
        Some(b'f') => name == "forwarded",
        Some(b'c') => {
            is_spelling_of(name, "client-cert") || is_spelling_of(name, "client-cert-chain")
        }
        _ => false,
    }
}

/// `true` for fields that never pass, in head or trailers, in any spelling: those of one connection, and other spellings
/// of Content-Length. `name` must be in lower case.
#[must_use]
pub fn never_passes(name: &str) -> bool {
    matches!(
        name.as_bytes().first(),
        Some(b'c' | b'h' | b'k' | b'p' | b't' | b'u')
    ) && (is_length_alias(name) || HOP_BY_HOP.iter().any(|it| is_spelling_of(name, it)))
}

fn is_length_alias(name: &str) -> bool {
    name != CONTENT_LENGTH && is_spelling_of(name, CONTENT_LENGTH.as_str())
}

/// `true` if an app could take `name` for `canonical`, which has only letters, digits and `-`.
fn is_spelling_of(name: &str, canonical: &str) -> bool {
    name.len() == canonical.len()
        && name.bytes().zip(canonical.bytes()).all(|(byte, expected)| {
            byte == expected || (expected == b'-' && !byte.is_ascii_alphanumeric())
        })
}

/// `true` if an app could take `name` for one of `names`.
pub(super) fn is_one_of(name: &HeaderName, names: &[HeaderName]) -> bool {
    names.iter().any(|other| is_same(name, other))
}

fn is_same(name: &HeaderName, other: &HeaderName) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric().then_some(byte);
    let (name, other) = (name.as_str(), other.as_str());
    name.len() == other.len() && name.bytes().map(letter).eq(other.bytes().map(letter))
}

/// Removes the fields with these names, in every spelling.
pub fn remove_all_spellings(headers: &mut HeaderMap, names: &[HeaderName]) {
    remove_if(headers, |name| is_one_of(name, names));
}

/// Removes the fields that an app could take for those with these names. Those with exactly these names stay.
pub fn remove_other_spellings(headers: &mut HeaderMap, names: &[HeaderName]) {
    remove_if(headers, |name| {
        is_one_of(name, names) && !names.contains(name)
    });
}

/// Removes the fields that never pass.
pub fn remove_unpassable(headers: &mut HeaderMap) {
    remove_if(headers, |name| never_passes(name.as_str()));
}

pub(super) fn remove_if(headers: &mut HeaderMap, is_removed: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| is_removed(name)).cloned() {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn forged_fields_are_removed_in_every_spelling() {
        let mut headers = HeaderMap::new();
        for name in [
            "remote-user",
            "remote_user",
            "remote.user",
            "remote-users",
            "x-remote-user",
        ] {
            headers.append(name, HeaderValue::from_static("root"));
        }
        let name = [HeaderName::from_static("remote-user")];
        remove_other_spellings(&mut headers, &name);
        assert_eq!(
            names(&headers),
            ["remote-user", "remote-users", "x-remote-user"]
        );
        remove_all_spellings(&mut headers, &name);
        assert_eq!(names(&headers), ["remote-users", "x-remote-user"]);
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn fields_that_never_pass_are_removed_in_every_spelling() {
        let passing = [
            "content-length",
            "content-type",
            "content_type",
            "host",
            "proxies",
            "trailer",
            "x-connection",
        ];
        let mut headers = HeaderMap::new();
        for name in passing {
            headers.append(name, HeaderValue::from_static("1"));
        }
        for name in HOP_BY_HOP {
            headers.append(name, HeaderValue::from_static("1"));
            let alias = HeaderName::try_from(name.replace('-', "_")).unwrap();
            headers.append(alias, HeaderValue::from_static("1"));
        }
        for name in ["content_length", "content.length", "keep.alive"] {
            headers.append(name, HeaderValue::from_static("1"));
        }
        remove_unpassable(&mut headers);
        assert_eq!(names(&headers), passing);
    }

    #[test]
    fn client_fields_are_recognized_in_every_spelling() {
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded_proto",
            "x-forwarded-prefix",
            "x-real-ip",
            "x_real_ip",
            "x-client-cert-subject",
            "x_client-cert_verified",
            "client-cert",
            "client_cert",
            "client.cert",
            "x.forwarded_for",
            "client-cert-chain",
        ] {
            assert!(is_client_field(name), "{name}");
        }
        for name in [
            "x-forwarded",
            "x-real-ips",
            "forwarded-by",
            "x-request-id",
            "x-client-certificate",
            "client-certificate",
            "a_b",
        ] {
            assert!(!is_client_field(name), "{name}");
        }
    }
}
