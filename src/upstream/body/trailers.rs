//! Trailers: the fields that may follow a body.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    COOKIE, EXPECT, HOST, HeaderName, MAX_FORWARDS, SET_COOKIE, TRAILER,
};

use super::field_names::{is_client_field, is_one_of, never_passes, remove_if};

/// Fields that may stand in a head, but not in trailers.
const ONLY_IN_HEAD: [HeaderName; 12] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    EXPECT,
    HOST,
    MAX_FORWARDS,
    SET_COOKIE,
    TRAILER,
];

/// Removes fields that frame, route or authenticate a message, for which trailers are too late (RFC 9110 section
/// 6.5.1). Also removes hop-by-hop fields, for which an HTTP/2 peer would reset the stream (RFC 9113 section 8.2.2).
pub(in crate::upstream) fn clean_trailers(trailers: &mut HeaderMap) {
    remove_if(trailers, is_forbidden);
}

fn is_forbidden(name: &HeaderName) -> bool {
    ONLY_IN_HEAD.contains(name) || never_passes(name.as_str())
}

/// Cleans the trailers of a client. Also removes fields that describe the client and the `own` fields, because only the
/// proxy may set them, and all that an app could take for a forbidden field.
pub(super) fn clean_client_trailers(trailers: &mut HeaderMap, own: &[Arc<[HeaderName]>]) {
    remove_if(trailers, |name| is_forbidden_to_clients(name, own));
}

fn is_forbidden_to_clients(name: &HeaderName, own: &[Arc<[HeaderName]>]) -> bool {
    is_forbidden(name)
        || is_one_of(name, &ONLY_IN_HEAD)
        || is_client_field(name.as_str())
        || own.iter().any(|names| is_one_of(name, names))
}

/// Returns the announced names of trailers that [`clean_client_trailers`] keeps, separated by commas.
pub(super) fn announced_trailers(headers: &HeaderMap, own: &[Arc<[HeaderName]>]) -> String {
    let is_allowed = |text: &&str| {
        HeaderName::from_bytes(text.as_bytes())
            .is_ok_and(|name| !is_forbidden_to_clients(&name, own))
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
        let names = [
            "grpc-status",
            "x-sum",
            "host",
            "connection",
            "keep-alive",
            "proxy",
            "http2-settings",
        ];
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
            "cache_control",
            "x_token",
            "proxy",
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
