//! Parsing and writing of the field Forwarded (RFC 7239).

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;

/// One element of the field: the facts that one proxy recorded of the connection from which it took the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// Address of the proxy's client. `None` if it is hidden or not a valid address.
    pub(crate) node: Option<IpAddr>,
    pub(crate) proto: Option<String>,
    pub(crate) host: Option<String>,
}

/// Parses the elements of one field in their order. An invalid field becomes one empty element.
pub(crate) fn parse(field: &HeaderValue) -> Vec<Element> {
    let parsed = field.to_str().ok().and_then(parse_text);
    parsed.unwrap_or_else(|| vec![Element::default()])
}

fn parse_text(text: &str) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    let mut rest = text;
    loop {
        let (element, after) = parse_element(rest)?;
        elements.extend(element);
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None => return Some(elements),
        }
    }
}

/// Parses the element at the beginning of `text`. Returns it, or `None` for an empty one, and the rest of the text,
/// which is empty or begins with a comma.
fn parse_element(text: &str) -> Option<(Option<Element>, &str)> {
    let mut element = None;
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if let Some(after) = rest.strip_prefix(';') {
            rest = after;
            continue;
        }
        if rest.is_empty() || rest.starts_with(',') {
            return Some((element, rest));
        }
        let (name, after) = rest.split_once('=')?;
        if !is_token(name) {
            return None;
        }
        let (value, after) = parse_value(after)?;
        let after = after.trim_start_matches([' ', '\t']);
        if !(after.is_empty() || after.starts_with([',', ';'])) {
            return None;
        }
        let element = element.get_or_insert_with(Element::default);
        match name.to_ascii_lowercase().as_str() {
            "for" => element.node = parse_node(&value),
            "proto" => element.proto = Some(value),
            "host" => element.host = Some(value),
            _ => {}
        }
        rest = after;
    }
}

/// Parses a token or a quoted string. Returns its value and the rest of the text.
fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        // By the grammar, a value with a colon must be quoted. One without quotes is accepted, since it is unambiguous.
        let is_value = !value.is_empty() && !value.contains(['"', '=']);
        return is_value.then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((index, char)) = chars.next() {
        match char {
            '"' => return Some((value, &quoted[index + 1..])),
            '\\' => value.push(chars.next()?.1),
            char => value.push(char),
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Parses an IP address with or without brackets and port.
pub(crate) fn parse_node(text: &str) -> Option<IpAddr> {
    let ip = match text.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) => match text.parse::<SocketAddr>() {
            Ok(address) => address.ip(),
            Err(_) => IpAddr::V6(text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?),
        },
    };
    Some(ip.to_canonical())
}

/// Writes one element for each address of `chain`, the client first. The first element also has `host` and `proto`.
pub(crate) fn write(chain: impl Iterator<Item = IpAddr>, host: &str, proto: &str) -> HeaderValue {
    let mut text = String::new();
    for (index, hop) in chain.enumerate() {
        text.push_str(if index > 0 { ", for=" } else { "for=" });
        let written = match hop {
            IpAddr::V4(ip) => write!(text, "{ip}"),
            IpAddr::V6(ip) => write!(text, "\"[{ip}]\""),
        };
        written.expect("writing to a String does not fail");
        if index == 0 {
            let quote = if is_token(host) { "" } else { "\"" };
            write!(text, ";host={quote}{host}{quote};proto={proto}")
                .expect("writing to a String does not fail");
        }
    }
    HeaderValue::try_from(text).expect("addresses and a valid host are visible ASCII")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nodes(field: &str) -> Vec<String> {
        let field = HeaderValue::from_str(field).unwrap();
        parse(&field)
            .into_iter()
            .map(|element| {
                element
                    .node
                    .map_or_else(|| "?".to_owned(), |ip| ip.to_string())
            })
            .collect()
    }

    #[test]
    fn elements_are_parsed_in_every_spelling() {
        for (field, expected) in [
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                vec!["192.0.2.60"],
            ),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                vec!["2001:db8:cafe::17"],
            ),
            (
                "for=192.0.2.43, for=198.51.100.17",
                vec!["192.0.2.43", "198.51.100.17"],
            ),
            (
                "for=192.0.2.43:80 ; by=x ,for=unknown",
                vec!["192.0.2.43", "?"],
            ),
            ("for=_hidden, ,for=\"192.0.2.1\"", vec!["?", "192.0.2.1"]),
            ("by=\"a,for=192.0.2.9\";for=192.0.2.1", vec!["192.0.2.1"]),
            ("proto=https", vec!["?"]),
            ("", vec![]),
        ] {
            assert_eq!(nodes(field), expected, "{field}");
        }
    }

    #[test]
    fn an_invalid_field_is_one_empty_element() {
        for field in [
            "for=\"192.0.2.1",
            "for=192.0.2.1, for=\"[2001:db8::1",
            "192.0.2.1",
            "for =192.0.2.1",
            "for=\"192.0.2.1\"x",
            "for=",
            "=192.0.2.1",
            "for=192.0.2.1, x=\"\\",
        ] {
            assert_eq!(nodes(field), ["?"], "{field}");
        }
    }

    #[test]
    fn a_written_field_parses_to_the_same_chain() {
        let chain: Vec<IpAddr> = ["2001:db8::7", "10.0.0.1"]
            .map(|ip| ip.parse().unwrap())
            .to_vec();
        let field = write(chain.iter().copied(), "www.example.org:8443", "https");
        assert_eq!(
            field,
            "for=\"[2001:db8::7]\";host=\"www.example.org:8443\";proto=https, for=10.0.0.1"
        );
        let elements = parse(&field);
        let read: Vec<_> = elements.iter().filter_map(|element| element.node).collect();
        assert_eq!(read, chain);
        assert_eq!(elements[0].host.as_deref(), Some("www.example.org:8443"));
    }

    proptest! {
        #[test]
        fn no_field_has_more_elements_than_characters(text in "[ -~]{0,60}") {
            let field = HeaderValue::from_str(&text).unwrap();
            prop_assert!(parse(&field).len() <= text.len().max(1));
        }
    }
}
