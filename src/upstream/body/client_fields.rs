//! Header fields that describe the client, such as `X-Forwarded-For`. Only a proxy may set them.

use http::{HeaderMap, HeaderName};

/// `true` if an app may trust this field as information from a proxy about the client. `_` counts as `-`, because many
/// apps do not distinguish the two. `name` must be in lower case.
#[must_use]
pub fn is_client_field(name: &str) -> bool {
    let has_prefix = |prefix: &str| {
        name.get(..prefix.len())
            .is_some_and(|start| is_alias(start, prefix))
    };
    match name.as_bytes().first() {
        Some(b'x') => {
            has_prefix("x-forwarded-")
                || has_prefix("x-client-cert-")
                || is_alias(name, "x-real-ip")
        }
        Some(b'f') => is_alias(name, "forwarded"),
        Some(b'c') => is_alias(name, "client-cert") || is_alias(name, "client-cert-chain"),
        _ => false,
    }
}

fn is_alias(name: &str, canonical: &str) -> bool {
    name.len() == canonical.len()
        && name
            .bytes()
            .zip(canonical.bytes())
            .all(|(byte, expected)| byte == expected || (byte == b'_' && expected == b'-'))
}

/// `true` if `name` is one of `names`, where `_` and `-` are the same.
pub(super) fn is_one_of(name: &HeaderName, names: &[HeaderName]) -> bool {
    let dashed = |byte: u8| match byte {
        b'_' => b'-',
        byte => byte,
    };
    let is_same = |other: &HeaderName| {
        let (name, other) = (name.as_str().bytes(), other.as_str().bytes());
        name.map(dashed).eq(other.map(dashed))
    };
    names.iter().any(is_same)
}

/// Removes the fields with these names, where `_` and `-` are the same.
pub fn remove_aliases(headers: &mut HeaderMap, names: &[HeaderName]) {
    let aliases: Vec<_> = headers
        .keys()
        .filter(|name| is_one_of(name, names))
        .cloned()
        .collect();
    for name in aliases {
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
            "remote-users",
            "x-remote-user",
        ] {
            headers.append(name, HeaderValue::from_static("root"));
        }
        remove_aliases(&mut headers, &[HeaderName::from_static("remote-user")]);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["remote-users", "x-remote-user"]);
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
