//! Trailers: which fields may follow a body.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderName, MAX_FORWARDS, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use super::client_fields::{is_client_field, is_one_of};

const NEVER: [HeaderName; 18] = [
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
const NEVER_EITHER: [&str; 2] = ["keep-alive", "proxy-connection"];

/// Removes fields that would frame, route or authenticate a message that has begun long ago (RFC 9110 section 6.5.1), and
/// fields of one connection: HTTP/2 resets a stream for these, which would look like a fault of the receiver.
pub(in crate::upstream) fn clean_trailers(trailers: &mut HeaderMap) {
    for name in NEVER {
        trailers.remove(name);
    }
    for name in NEVER_EITHER {
        trailers.remove(name);
    }
}

/// Cleans the trailers of a client, which also may not have fields about the client, nor the `own` fields that the proxy sets
/// in the head.
pub(super) fn clean_client_trailers(trailers: &mut HeaderMap, own: &[Arc<[HeaderName]>]) {
    clean_trailers(trailers);
    let is_taken = |name: &&HeaderName| is_own(name, own);
    for name in trailers
        .keys()
        .filter(is_taken)
        .cloned()
        .collect::<Vec<_>>()
    {
        trailers.remove(name);
    }
}

fn is_own(name: &HeaderName, own: &[Arc<[HeaderName]>]) -> bool {
    is_client_field(name.as_str()) || own.iter().any(|names| is_one_of(name, names))
}

/// Returns the names, separated by commas, of those trailers that the head announces and that [`clean_client_trailers`]
/// lets pass.
pub(super) fn announced_trailers(headers: &HeaderMap, own: &[Arc<[HeaderName]>]) -> String {
    let can_come = |text: &&str| {
        HeaderName::from_bytes(text.as_bytes()).is_ok_and(|name| {
            !NEVER.contains(&name) && !NEVER_EITHER.contains(&name.as_str()) && !is_own(&name, own)
        })
    };
    let fields = headers.get_all(TRAILER).iter();
    let names = fields
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(can_come);
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_something_of_the_body_stays() {
        let names = ["grpc-status", "x-sum", "host", "connection", "keep-alive"];
        let field = |name: &'static str| (name.parse().unwrap(), "0".parse().unwrap());
        let mut trailers: HeaderMap = names.into_iter().map(field).collect();
        clean_trailers(&mut trailers);
        let mut kept: Vec<_> = trailers.keys().map(ToString::to_string).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["grpc-status", "x-sum"]);
    }

    #[test]
    fn a_client_says_nothing_by_trailers_that_its_head_may_not() {
        let names = [
            "x-forwarded-for",
            "x_real_ip",
            "client-cert",
            "remote_user",
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
