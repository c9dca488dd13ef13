//! Secrets in the configuration: the text itself, or where it is.

use std::fmt;
use std::path::Path;

use super::problem::Problem;

/// A secret. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Reads `env:NAME` from the environment, `file:PATH` from a file whose relative path starts at `folder`, and takes all
    /// else for the secret itself. White space around it is none of its.
    pub(super) fn resolve(text: &str, folder: &Path) -> Result<Self, Problem> {
        let secret = if let Some(name) = text.strip_prefix("env:") {
            std::env::var(name).map_err(|_| Problem::SecretVariable(name.to_owned()))?
        } else if let Some(path) = text.strip_prefix("file:") {
            let path = folder.join(path);
            match std::fs::read_to_string(&path) {
                Ok(secret) => secret,
                Err(source) => return Err(Problem::SecretFile { path, source }),
            }
        } else {
            text.to_owned()
        };
        match secret.trim() {
            "" => Err(Problem::SecretEmpty),
            secret => Ok(Self(secret.to_owned())),
        }
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A secret as the user wrote it: the text itself, or where it is. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// What was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_text_a_variable_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "of the file\n").unwrap();
        std::fs::write(dir.path().join("empty"), "\n").unwrap();
        let resolve = |text| Secret::resolve(text, dir.path());
        assert_eq!(resolve("plain").unwrap().expose(), "plain");
        assert_eq!(resolve("file:key").unwrap().expose(), "of the file");
        let path = std::env::var("PATH").unwrap();
        assert_eq!(resolve("env:PATH").unwrap().expose(), path.trim());
        for (text, part) in [
            ("env:NO_SUCH_VARIABLE_HERE", "NO_SUCH_VARIABLE_HERE"),
            ("file:missing", "missing"),
            ("file:empty", "empty"),
            (" ", "empty"),
        ] {
            let message = resolve(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::resolve("hush", Path::new("")).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
