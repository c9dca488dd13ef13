//! Entity tags in conditional requests. Compression has made some of them weak, which the app must not notice.

use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::rules;
use crate::upstream::remove_other_spellings;

/// Adds to each weak tag in If-Match and If-None-Match the strong tag from which compression may have made it. The weak
/// one stays, since it may be the app's own. Removes all that the app could take for these two fields. Returns If-None-Match as the client wrote it, if it has a weak tag.
pub(crate) fn restore(headers: &mut HeaderMap) -> Option<HeaderValue> {
    remove_other_spellings(headers, &[IF_MATCH, IF_NONE_MATCH]);
    restore_field(headers, &IF_MATCH);
    restore_field(headers, &IF_NONE_MATCH)
}

fn restore_field(headers: &mut HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.as_bytes().to_vec();
    let list = values.fold(value, |list, value| {
        [&list, &b", "[..], value.as_bytes()].concat()
    });
    let tags = parse(&list)?;
    let strong = tags.iter().filter_map(|tag| tag.strip_prefix(b"W/"));
    let missing: Vec<_> = strong.filter(|strong| !tags.contains(strong)).collect();
    if missing.is_empty() {
        return None;
    }
    let restored = [missing.join(&b", "[..]), tags.join(&b", "[..])].join(&b", "[..]);
    headers.insert(name, HeaderValue::from_bytes(&restored).ok()?);
    HeaderValue::from_bytes(&list).ok()
}

/// Adapts the head of a 304 to the response that it stands for: that varies by Accept-Encoding, and its tag is weak if
/// the client knows it so. `known` is the result of [`restore`].
pub(crate) fn set_not_modified_head(headers: &mut HeaderMap, known: Option<&HeaderValue>) {
    rules::set_vary(headers);
    let tags = known.and_then(|known| parse(known.as_bytes()));
    let (Some(tag), Some(tags)) = (headers.get(ETAG), tags) else {
        return;
    };
    let weak = [b"W/", tag.as_bytes()].concat();
    if tags.contains(&&weak[..]) && !tags.contains(&tag.as_bytes()) {
        rules::weaken(headers);
    }
}

/// Splits a list of tags (RFC 9110 section 8.8.3). `None` if it is not one.
fn parse(mut list: &[u8]) -> Option<Vec<&[u8]>> {
    let mut tags = Vec::new();
    loop {
        list = list.trim_ascii_start();
        if let Some(rest) = list.strip_prefix(b",") {
            list = rest;
            continue;
        }
        if list.is_empty() {
            return Some(tags);
        }
        let opaque = list.strip_prefix(b"W/").unwrap_or(list);
        let inner = opaque.strip_prefix(b"\"")?;
        let length = inner.iter().position(|byte| *byte == b'"')?;
        let (tag, rest) = list.split_at(list.len() - inner.len() + length + 1);
        tags.push(tag);
        list = rest.trim_ascii_start();
        if !list.is_empty() && !list.starts_with(b",") {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::VARY;

    use super::*;

    #[test]
    fn each_weak_tag_gets_its_strong_form_beside_it() {
        for (written, restored) in [
            ("W/\"a\"", "\"a\", W/\"a\""),
            ("W/\"a,b\" , \"c\"", "\"a,b\", W/\"a,b\", \"c\""),
            ("\"a\", W/\"a\"", "\"a\", W/\"a\""),
            ("W/\"\"", "\"\", W/\"\""),
            ("\"a\"", "\"a\""),
            ("*", "*"),
            ("W/a", "W/a"),
            ("W/\"a", "W/\"a"),
            ("W/\"a\" x", "W/\"a\" x"),
        ] {
            for name in [IF_MATCH, IF_NONE_MATCH] {
                let mut headers = HeaderMap::new();
                headers.insert(&name, HeaderValue::from_static(written));
                restore(&mut headers);
                assert_eq!(headers[&name], restored, "{written}");
            }
        }
        let mut headers = HeaderMap::new();
        headers.append(IF_NONE_MATCH, HeaderValue::from_static("W/\"a\""));
        headers.append(IF_NONE_MATCH, HeaderValue::from_static("\"b\""));
        assert_eq!(restore(&mut headers).unwrap(), "W/\"a\", \"b\"");
        assert_eq!(headers[IF_NONE_MATCH], "\"a\", W/\"a\", \"b\"");
    }

    #[test]
    fn a_304_has_the_tag_that_the_client_knows() {
        for (known, tag, seen) in [
            (Some("W/\"a\""), "\"a\"", "W/\"a\""),
            (Some("W/\"a\""), "W/\"a\"", "W/\"a\""),
            (Some("W/\"a\", \"a\""), "\"a\"", "\"a\""),
            (Some("W/\"b\""), "\"a\"", "\"a\""),
            (None, "\"a\"", "\"a\""),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ETAG, HeaderValue::from_static(tag));
            let known = known.map(HeaderValue::from_static);
            set_not_modified_head(&mut headers, known.as_ref());
            assert_eq!(headers[ETAG], seen);
            assert_eq!(headers[VARY], "accept-encoding");
        }
    }
}
