//! Secret that signs the cookies of sticky sessions.

use std::fmt;

/// Secret that signs the cookies of sticky sessions. Its `Debug` shows only the source.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CookieKey {
    source: Option<String>,
    secret: Vec<u8>,
}

impl CookieKey {
    /// A key with the source from which it was read, such as `env:COOKIE_KEY`; `None` if the configuration contains the
    /// secret.
    #[must_use]
    pub fn new(source: Option<String>, secret: Vec<u8>) -> Self {
        Self { source, secret }
    }

    /// Source from which the key was read; `None` if the configuration contains the secret.
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
    fn debug_does_not_show_the_secret() {
        let key = CookieKey::new(Some("env:KEY".to_owned()), b"hidden".to_vec());
        assert_eq!(format!("{key:?}"), "CookieKey(Some(\"env:KEY\"))");
    }
}
