//! Texts with placeholders such as `{host}`, taken apart once and filled for each request.

use std::fmt::Write as _;

/// A placeholder that there is none of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{{{name}}}` is no placeholder here; write {}", listed(known))]
pub struct PlaceholderError {
    name: String,
    known: Vec<&'static str>,
}

fn listed(known: &[&'static str]) -> String {
    let mut text = String::new();
    for (index, name) in known.iter().enumerate() {
        let joint = match index {
            0 => "",
            index if index + 1 == known.len() => " or ",
            _ => ", ",
        };
        let _ = write!(text, "{joint}`{{{name}}}`");
    }
    text
}

/// A text with places of kind `P` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Template<P> {
    text: Box<str>,
    parts: Box<[Part<P>]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part<P> {
    Text(Box<str>),
    Place(P),
}

impl<P: Copy> Template<P> {
    /// Takes `text` apart. Only `{name}` is a placeholder; other braces stand for themselves.
    pub(in crate::proxy) fn parse(
        text: &str,
        places: &[(&'static str, P)],
    ) -> Result<Self, PlaceholderError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, opened) = rest.split_at(start);
            literal.push_str(before);
            let Some((name, behind)) = placeholder(opened) else {
                literal.push('{');
                rest = &opened[1..];
                continue;
            };
            let Some((_, place)) = places.iter().find(|(known, _)| *known == name) else {
                return Err(PlaceholderError {
                    name: name.to_owned(),
                    known: places.iter().map(|(known, _)| *known).collect(),
                });
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(Part::Place(*place));
            rest = behind;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Ok(Self {
            text: text.into(),
            parts: parts.into(),
        })
    }

    /// A `literal` without placeholders, which is shown as `text`.
    pub(in crate::proxy) fn hidden(text: &str, literal: &str) -> Self {
        Self {
            text: text.into(),
            parts: [Part::Text(literal.into())].into(),
        }
    }

    /// The text as it was written.
    pub(in crate::proxy) fn text(&self) -> &str {
        &self.text
    }

    /// Whether something else is shown than what is meant.
    pub(in crate::proxy) fn is_hidden(&self) -> bool {
        matches!(&*self.parts, [Part::Text(literal)] if *literal != self.text)
    }

    pub(in crate::proxy) fn places(&self) -> impl Iterator<Item = P> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Place(place) => Some(*place),
        })
    }

    /// The text with every place filled by `fill`.
    pub(in crate::proxy) fn filled(&self, mut fill: impl FnMut(P, &mut Vec<u8>)) -> Vec<u8> {
        let mut text = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.extend_from_slice(literal.as_bytes()),
                Part::Place(place) => fill(*place, &mut text),
            }
        }
        text
    }
}

/// The name in a text that begins with `{name}`, and what follows.
fn placeholder(opened: &str) -> Option<(&str, &str)> {
    let (name, behind) = opened.strip_prefix('{')?.split_once('}')?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    (!name.is_empty() && name.bytes().all(is_name)).then_some((name, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_other_braces_stay() {
        for (text, filled) in [
            ("", ""),
            ("a", "a"),
            ("{a}", "1"),
            ("x{a}{b}y{a}", "x12y1"),
            ("{\"group\":\"{a}\"}", "{\"group\":\"1\"}"),
            ("{}{ a}{A}{", "{}{ a}{A}{"),
        ] {
            let template = Template::parse(text, &[("a", b'1'), ("b", b'2')]).unwrap();
            let bytes = template.filled(|place, text| text.push(place));
            assert_eq!(String::from_utf8(bytes).unwrap(), filled, "{text}");
        }
    }

    #[test]
    fn an_unknown_placeholder_is_named_with_those_that_are_known() {
        let places = [("host", 1), ("path", 2), ("query", 3)];
        let error = Template::parse("/{uri}", &places).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`{uri}` is no placeholder here; write `{host}`, `{path}` or `{query}`"
        );
    }
}
