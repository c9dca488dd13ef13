//! What may stand behind a body.

use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, EXPECT, HOST, MAX_FORWARDS, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

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
}
