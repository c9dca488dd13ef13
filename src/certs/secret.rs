//! Text that logs never show.

use std::fmt;

/// A password, token or key from the configuration. Its `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    reference: Option<String>,
}

impl Secret {
    /// A secret that the configuration spells out.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            reference: None,
        }
    }

    /// A secret that was read from `reference`: `env:NAME` or `file:PATH`.
    #[must_use]
    pub fn referred(reference: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            reference: Some(reference.into()),
        }
    }

    /// The secret text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The reference that it was read from; `None` if the configuration spells it out.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// The environment variable that holds it, to be removed from the environment of child processes.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        self.reference()?.strip_prefix("env:")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_and_remembers_its_reference() {
        let secret = Secret::referred("env:TOKEN", "hidden");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.expose(), "hidden");
        assert_eq!(secret.variable(), Some("TOKEN"));
        assert_eq!(Secret::referred("file:/key", "hidden").variable(), None);
    }
}
