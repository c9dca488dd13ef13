//! The target of a request as the backend gets it. A target that has more than one meaning is refused.

use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, Version};
use percent_encoding::percent_encode_byte;

use crate::http1::CutTarget;
use crate::proxy::error::Error;

/// Returns the target in origin form (RFC 9112 section 3.2.1), or `*` for OPTIONS. Characters that must not be raw are
/// percent-encoded; all other bytes stay unchanged.
pub(in crate::proxy::request) fn origin_form<B>(
    request: &Request<B>,
) -> Result<PathAndQuery, Error> {
    let uri = request.uri();
    let scheme = uri.scheme();
    if scheme.is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Error::Target);
    }
    if scheme.is_none() && uri.authority().is_some() {
        return Err(Error::Target);
    }
    if request.extensions().get::<CutTarget>().is_some() {
        return Err(Error::Target);
    }
    let path = uri.path_and_query().ok_or(Error::Target)?;
    // HTTP/2 has no absolute form, and so no path that may be left out.
    let may_lack_path = scheme.is_some() && request.version() < Version::HTTP_2;
    match path.as_str().as_bytes() {
        [b'/', ..] => encoded(path),
        [b'?', ..] if may_lack_path => {
            let path = PathAndQuery::try_from(["/", path.as_str()].concat());
            encoded(&path.map_err(|_| Error::Target)?)
        }
        b"*" if request.method() == Method::OPTIONS => Ok(path.clone()),
        _ => Err(Error::Target),
    }
}

/// Returns the target of `request` in origin form. `None` if requests with such a target are refused.
#[must_use]
pub fn checked_target<B>(request: &Request<B>) -> Option<PathAndQuery> {
    origin_form(request).ok()
}

/// `true` for the characters that RFC 3986 allows nowhere in a URL, although clients leave some of them raw.
fn is_raw(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | b'|' | b'^' | b'\\'
    )
}

/// Percent-encodes raw characters, except `\` in the path: some backends read it as a slash, and its encoded form not.
fn encoded(target: &PathAndQuery) -> Result<PathAndQuery, Error> {
    if !target.as_str().bytes().any(is_raw) {
        return Ok(target.clone());
    }
    let path_len = target.path().len();
    let mut text = Vec::with_capacity(3 * target.as_str().len());
    for (index, byte) in target.as_str().bytes().enumerate() {
        if is_raw(byte) && (byte != b'\\' || index > path_len) {
            text.extend_from_slice(percent_encode_byte(byte).as_bytes());
        } else {
            text.push(byte);
        }
    }
    PathAndQuery::try_from(text).map_err(|_| Error::Target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &str, uri: &str) -> Option<String> {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        origin_form(&request).ok().map(|path| path.to_string())
    }

    #[test]
    fn every_form_of_target_becomes_origin_form_with_unchanged_bytes() {
        for (method, uri, path) in [
            ("GET", "/a/../b//c?x=%2e&y", "/a/../b//c?x=%2e&y"),
            ("GET", "/a?b?c=/d", "/a?b?c=/d"),
            ("GET", "http://a.example/x?y", "/x?y"),
            ("GET", "https://a.example", "/"),
            ("GET", "https://a.example?q", "/?q"),
            ("OPTIONS", "*", "*"),
        ] {
            assert_eq!(target(method, uri).as_deref(), Some(path), "{uri}");
        }
    }

    #[test]
    fn a_target_that_was_cut_is_refused() {
        let mut request = Request::delete("/folder/").body(()).unwrap();
        assert!(origin_form(&request).is_ok());
        request.extensions_mut().insert(CutTarget);
        assert!(matches!(origin_form(&request), Err(Error::Target)));
    }

    #[test]
    fn other_targets_are_refused() {
        for (method, uri) in [
            ("GET", "*"),
            ("GET", "a.example:443"),
            ("GET", "ftp://a.example/x"),
        ] {
            assert_eq!(target(method, uri), None, "{uri}");
        }
    }

    #[test]
    fn raw_characters_are_encoded_except_a_backslash_in_a_path() {
        for (uri, path) in [
            ("/a?`{}|^\\é%7b'", "/a?%60%7B%7D%7C%5E%5Cé%7b'"),
            ("/\"{}|^\\é%7b'?", "/%22%7B%7D%7C%5E\\é%7b'?"),
            ("https://a.example?{}", "/?%7B%7D"),
        ] {
            assert_eq!(target("GET", uri).as_deref(), Some(path), "{uri}");
        }
    }

    #[test]
    fn only_absolute_form_may_leave_the_path_out() {
        let request = Request::builder().version(Version::HTTP_2);
        let request = request.uri("https://a.example?q").body(()).unwrap();
        assert!(matches!(origin_form(&request), Err(Error::Target)));
    }
}
