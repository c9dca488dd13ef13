//! Link headers (RFC 8288), with which a CA points to alternate chains and to its terms.

use http::header::{HeaderMap, LINK};
use url::Url;

/// Most links of one relation that are read.
const MOST: usize = 20;

/// Returns the targets of the first links with this relation, in the CA's order. Relative targets are resolved against `base`.
pub(in crate::acme) fn links(headers: &HeaderMap, base: &Url, relation: &str) -> Vec<Url> {
    let values = headers.get_all(LINK).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(parse)
        .filter(|(_, relations)| {
            let mut relations = relations.split_ascii_whitespace();
            relations.any(|word| word.eq_ignore_ascii_case(relation))
        })
        .take(MOST)
        .filter_map(|(target, _)| base.join(target).ok())
        .collect()
}

/// Splits a header into targets and their parameters.
fn parse(value: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((target, after)) = rest
        .split_once('<')
        .and_then(|(_, after)| after.split_once('>'))
    {
        let end = end_of_parameters(after);
        let parameters = &after[..end];
        if let Some(relation) = relation(parameters) {
            found.push((target.trim(), relation));
        }
        rest = &after[end..];
    }
    found
}

/// Finds the end of a link's parameters: a comma outside of quotes.
fn end_of_parameters(text: &str) -> usize {
    let mut is_quoted = false;
    let end = text.find(|character| {
        is_quoted ^= character == '"';
        character == ',' && !is_quoted
    });
    end.unwrap_or(text.len())
}

fn relation(parameters: &str) -> Option<&str> {
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("rel").then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn links_are_found_however_they_are_written() {
        let mut headers = HeaderMap::new();
        for value in [
            "<https://ca.test/dir>;rel=\"index\"",
            "</cert/1>; rel=alternate, <cert/2> ; title=\"a, b\"; REL=\"up Alternate\"",
            "garbage, <unended",
            "<https://other.test/3>;rel=\"alternate\"",
        ] {
            headers.append(LINK, HeaderValue::from_static(value));
        }
        let base = Url::parse("https://ca.test/x/0").unwrap();
        let found = links(&headers, &base, "alternate");
        let found: Vec<_> = found.iter().map(Url::as_str).collect();
        assert_eq!(
            found,
            [
                "https://ca.test/cert/1",
                "https://ca.test/x/cert/2",
                "https://other.test/3"
            ]
        );
    }

    #[test]
    fn only_the_first_of_many_links_are_read() {
        let mut headers = HeaderMap::new();
        let value = "<a>;rel=up,".repeat(1000);
        headers.append(LINK, HeaderValue::from_str(&value).unwrap());
        let base = Url::parse("https://ca.test/x/0").unwrap();
        assert_eq!(links(&headers, &base, "up").len(), MOST);
    }
}
