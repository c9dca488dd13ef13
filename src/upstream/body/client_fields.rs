//! Fields about the client, such as `X-Forwarded-For`, which only a proxy may set.

use http::{HeaderMap, HeaderName};

/// `true` if an app would take the field for the word of a proxy about its client. Many backends read `_` as `-`.
#[must_use]
pub fn is_client_field(name: &str) -> bool {
    let begins_as = |prefix: &str| {
        name.get(..prefix.len())
            .is_some_and(|start| is_alias(start, prefix))
    };
    match name.as_bytes().first() {
        Some(b'x') => {
            begins_as("x-forwarded-") || is_alias(name, "x-real-ip") || begins_as("x-client-cert-")
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

/// `true` if a field is one of `names` in any spelling that an app may take for it.
pub(super) fn is_one_of(name: &HeaderName, names: &[HeaderName]) -> bool {
    let dashed = |byte: u8| match byte {
        b'_' => b'-',
        byte => byte,
    };
    let is_it = |own: &HeaderName| {
        let (name, own) = (name.as_str().bytes(), own.as_str().bytes());
        name.map(dashed).eq(own.map(dashed))
    };
    names.iter().any(is_it)
}

/// Removes `names` in every spelling that an app may take for them.
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
    fn forged_fields_go_in_every_spelling() {
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
    fn claims_are_known_in_every_spelling() {
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
