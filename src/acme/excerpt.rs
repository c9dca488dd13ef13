//! The beginning of an answer that is no problem document.

/// The start of an answer that is no problem document, safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    pub(super) fn of(body: &[u8]) -> Self {
        let start = &body[..body.len().min(200)];
        Self(super::problem::printable(
            &String::from_utf8_lossy(start),
            200,
        ))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How a sentence about the answer goes on.
    pub(super) fn quoted(&self) -> String {
        match self.as_str() {
            "" => " with an empty body".to_owned(),
            text => format!(": {text}"),
        }
    }
}
