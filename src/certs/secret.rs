//! Secret text that is never shown.

use std::fmt;

/// Password, token or key from the configuration. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    reference: Option<String>,
}

impl Secret {
    /// Creates a secret that is written in the configuration itself.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            reference: None,
        }
    }

    /// Creates a secret that was read from `reference`: `env:NAME` or `file:PATH`.
    #[must_use]
    pub fn referred(reference: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            reference: Some(reference.into()),
        }
    }

    /// Returns the secret text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns the reference in the configuration; `None` if the secret is written there itself.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// Returns the name of the environment variable that holds the secret. Child processes must not get it.
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
