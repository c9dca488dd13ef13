//! Texts with placeholders such as `{host}`, parsed once and filled for each request.

use std::fmt::Write as _;

/// Error of an unknown placeholder. Its message lists the known ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{{{name}}}` is not a valid placeholder here; use {}", listed(known))]
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

/// A text with placeholders of type `P`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template<P> {
    text: Box<str>,
    parts: Box<[Part<P>]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part<P> {
    Text(Box<str>),
    Placeholder(P),
}

impl<P: Copy> Template<P> {
    /// Parses `text`. `{name}` is a placeholder, and must be one of `known`; other braces are literal.
    pub(crate) fn parse(text: &str, known: &[(&'static str, P)]) -> Result<Self, PlaceholderError> {
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
            let Some((_, value)) = known.iter().find(|(known, _)| *known == name) else {
                return Err(PlaceholderError {
                    name: name.to_owned(),
                    known: known.iter().map(|(known, _)| *known).collect(),
                });
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(Part::Placeholder(*value));
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

    /// Creates a template of a secret `literal` without placeholders, which is shown as `text`.
    pub(crate) fn hidden(text: &str, literal: &str) -> Self {
        Self {
            text: text.into(),
            parts: [Part::Text(literal.into())].into(),
        }
    }

    /// Text to show: the parsed one, or the one that hides a secret.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// `true` if another text is shown than the one that is used.
    pub(crate) fn is_hidden(&self) -> bool {
        matches!(&*self.parts, [Part::Text(literal)] if *literal != self.text)
    }

    pub(crate) fn placeholders(&self) -> impl Iterator<Item = P> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Placeholder(place) => Some(*place),
        })
    }

    /// Returns the text, with each placeholder appended by `fill`.
    pub(crate) fn filled(&self, mut fill: impl FnMut(P, &mut Vec<u8>)) -> Vec<u8> {
        let mut text = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.extend_from_slice(literal.as_bytes()),
                Part::Placeholder(place) => fill(*place, &mut text),
            }
        }
        text
    }
}

/// Splits a text that begins with `{name}` into the name and the rest.
fn placeholder(opened: &str) -> Option<(&str, &str)> {
    let (name, behind) = opened.strip_prefix('{')?.split_once('}')?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    (!name.is_empty() && name.bytes().all(is_name)).then_some((name, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_other_braces_are_literal() {
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
    fn the_error_names_the_unknown_placeholder_and_the_known_ones() {
        let places = [("host", 1), ("path", 2), ("query", 3)];
        let error = Template::parse("/{uri}", &places).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`{uri}` is not a valid placeholder here; use `{host}`, `{path}` or `{query}`"
        );
    }
}
