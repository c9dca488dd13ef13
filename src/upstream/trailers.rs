//! What may stand behind a body.

use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderName, MAX_FORWARDS, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use super::claim::{is_claim, is_one_of};

/// Removes what would frame, route or authenticate a message that has begun long ago (RFC 9110 section 6.5.1), and what
/// belongs to one connection: HTTP/2 resets a stream for it, which looks like a fault of who is to receive it.
pub(super) fn clean(trailers: &mut HeaderMap) {
    for name in [
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
    ] {
        trailers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        trailers.remove(name);
    }
}

/// The same for those of a client, which may not say what only the proxy may: what it writes of itself, and fields of these
/// names, which the proxy sets in the head.
pub(super) fn clean_claims(trailers: &mut HeaderMap, own: &[HeaderName]) {
    clean(trailers);
    let is_taken = |name: &&HeaderName| is_claim(name.as_str()) || is_one_of(name, own);
    for name in trailers
        .keys()
        .filter(is_taken)
        .cloned()
        .collect::<Vec<_>>()
    {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_something_of_the_body_stays() {
        let names = ["grpc-status", "x-sum", "host", "connection", "keep-alive"];
        let field = |name: &'static str| (name.parse().unwrap(), "0".parse().unwrap());
        let mut trailers: HeaderMap = names.into_iter().map(field).collect();
        clean(&mut trailers);
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
            "x-sum",
        ];
        let field = |name: &'static str| (name.parse().unwrap(), "0".parse().unwrap());
        let mut trailers: HeaderMap = names.into_iter().map(field).collect();
        clean_claims(&mut trailers, &[HeaderName::from_static("remote-user")]);
        let kept: Vec<_> = trailers.keys().collect();
        assert_eq!(kept, ["x-sum"]);
    }
}
