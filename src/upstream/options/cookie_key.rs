//! The secret that signs the cookies of sticky sessions.

use std::fmt;

/// The secret that signs cookies. Its `Debug` shows where it was read from and nothing else.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CookieKey {
    source: Option<String>,
    secret: Vec<u8>,
}

impl CookieKey {
    /// A key that was read from `source`, such as `env:COOKIE_KEY`; `None` if the secret stands in the configuration.
    #[must_use]
    pub fn new(source: Option<String>, secret: Vec<u8>) -> Self {
        Self { source, secret }
    }

    /// Source that it was read from; `None` if the secret stands in the configuration.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    pub(in crate::upstream) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CookieKey").field(&self.source).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_not_shown() {
        let key = CookieKey::new(Some("env:KEY".to_owned()), b"hidden".to_vec());
        assert_eq!(format!("{key:?}"), "CookieKey(Some(\"env:KEY\"))");
    }
}
