//! Names of the fields that only a proxy sets, removes or frames a message by. The one rule by which two names are the
//! same: CGI, WSGI and PHP turn each character that is neither a letter nor a digit into `_`, so that an app reads
//! `X_Api.User` as `X-Api-User`.

use http::{HeaderMap, HeaderName};

/// Fields that frame a message or concern one connection only, as far as their names have other spellings.
const FRAMING: [&str; 7] = [
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
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

/// `true` for fields such as `Transfer-Encoding`, in any spelling. `name` must be in lower case.
#[must_use]
pub fn is_framing_field(name: &str) -> bool {
    FRAMING
        .iter()
        .any(|canonical| is_spelling_of(name, canonical))
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

/// Removes the fields that an app could take for fields such as `Transfer-Encoding`. Those with the right names stay.
pub fn remove_framing_aliases(headers: &mut HeaderMap) {
    remove_if(headers, |name| {
        is_framing_field(name.as_str()) && !FRAMING.contains(&name.as_str())
    });
}

fn remove_if(headers: &mut HeaderMap, is_removed: impl Fn(&HeaderName) -> bool) {
    let names: Vec<_> = headers
        .keys()
        .filter(|name| is_removed(name))
        .cloned()
        .collect();
    for name in names {
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
    fn aliases_of_framing_fields_are_removed_and_the_fields_themselves_stay() {
        let mut headers = HeaderMap::new();
        for name in [
            "transfer-encoding",
            "transfer_encoding",
            "content.length",
            "keep_alive",
            "content-type",
            "content_type",
            "te",
        ] {
            headers.append(name, HeaderValue::from_static("1"));
        }
        remove_framing_aliases(&mut headers);
        assert_eq!(
            names(&headers),
            ["content-type", "content_type", "te", "transfer-encoding"]
        );
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
