//! Authentication schemes that log a user in on a connection instead of in each request: NTLM and Negotiate (RFC 4559).

use http::{HeaderMap, HeaderName};

const SCHEMES: [&str; 2] = ["ntlm", "negotiate"];

/// `true` if the field `name`, WWW-Authenticate or Authorization, has such a scheme.
#[must_use]
pub fn has_connection_login(headers: &HeaderMap, name: &HeaderName) -> bool {
    let values = headers.get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|challenge| challenge.split_whitespace().next())
        .any(|scheme| SCHEMES.iter().any(|it| scheme.eq_ignore_ascii_case(it)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::WWW_AUTHENTICATE;

    use super::*;

    #[test]
    fn the_schemes_are_found_in_lists_and_in_any_case() {
        for (values, expected) in [
            (&["NTLM"][..], true),
            (&["ntlm TlRMTVNTUAAB"], true),
            (&["Basic realm=\"x\", Negotiate"], true),
            (&["Basic realm=\"x\"", "NEGOTIATE oRQwEg=="], true),
            (&["Basic realm=\"NTLM\""], false),
            (&["Bearer"], false),
            (&["NTLMv2"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
            }
            let found = has_connection_login(&headers, &WWW_AUTHENTICATE);
            assert_eq!(found, expected, "{values:?}");
        }
    }
}
