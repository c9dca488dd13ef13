//! Trailers: the fields that may follow a body.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderName, MAX_FORWARDS, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use super::field_names::{is_client_field, is_framing_field, is_one_of};

/// Fields that must not be in trailers, as far as the `http` crate has constants for them.
const FORBIDDEN: [HeaderName; 18] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    EXPECT,
    HOST,
    MAX_FORWARDS,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
/// Further fields that must not be in trailers.
const FORBIDDEN_TOO: [&str; 2] = ["keep-alive", "proxy-connection"];

/// Removes fields that frame, route or authenticate a message, for which trailers are too late (RFC 9110 section
/// 6.5.1). Also removes hop-by-hop fields, for which an HTTP/2 peer would reset the stream (RFC 9113 section 8.2.2).
pub(in crate::upstream) fn clean_trailers(trailers: &mut HeaderMap) {
    for name in FORBIDDEN {
        trailers.remove(name);
    }
    for name in FORBIDDEN_TOO {
        trailers.remove(name);
    }
}

/// Cleans the trailers of a client. Also removes fields that describe the client and the `own` fields, because only the
/// proxy may set them, and other spellings of fields that frame a message.
pub(super) fn clean_client_trailers(trailers: &mut HeaderMap, own: &[Arc<[HeaderName]>]) {
    clean_trailers(trailers);
    let names = trailers.keys().filter(|name| is_own(name, own));
    for name in names.cloned().collect::<Vec<_>>() {
        trailers.remove(name);
    }
}

fn is_own(name: &HeaderName, own: &[Arc<[HeaderName]>]) -> bool {
    is_client_field(name.as_str())
        || is_framing_field(name.as_str())
        || own.iter().any(|names| is_one_of(name, names))
}

/// Returns the announced names of trailers that [`clean_client_trailers`] keeps, separated by commas.
pub(super) fn announced_trailers(headers: &HeaderMap, own: &[Arc<[HeaderName]>]) -> String {
    let is_allowed = |text: &&str| {
        HeaderName::from_bytes(text.as_bytes()).is_ok_and(|name| {
            !FORBIDDEN.contains(&name)
                && !FORBIDDEN_TOO.contains(&name.as_str())
                && !is_own(&name, own)
        })
    };
    let fields = headers.get_all(TRAILER).iter();
    let names = fields
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(is_allowed);
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_about_the_body_are_kept() {
        let names = ["grpc-status", "x-sum", "host", "connection", "keep-alive"];
        let field = |name: &'static str| (name.parse().unwrap(), "0".parse().unwrap());
        let mut trailers: HeaderMap = names.into_iter().map(field).collect();
        clean_trailers(&mut trailers);
        let mut kept: Vec<_> = trailers.keys().map(ToString::to_string).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["grpc-status", "x-sum"]);
    }

    #[test]
    fn client_trailers_cannot_contain_fields_that_only_the_proxy_sets() {
        let names = [
            "x-forwarded-for",
            "x_real_ip",
            "client-cert",
            "remote_user",
            "content_length",
            "x_token",
            "x-sum",
        ];
        let field = |name: &'static str| (name.parse().unwrap(), "0".parse().unwrap());
        let mut trailers: HeaderMap = names.into_iter().map(field).collect();
        let own = |name| Arc::from([HeaderName::from_static(name)]);
        clean_client_trailers(&mut trailers, &[own("remote-user"), own("x-token")]);
        let kept: Vec<_> = trailers.keys().collect();
        assert_eq!(kept, ["x-sum"]);
    }
}
