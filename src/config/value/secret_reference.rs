//! Secrets: the text itself, or a reference to a file or environment variable.

use std::fmt;
use std::path::Path;

use crate::certs::Secret;
use crate::config::report::{Problem, Report};
use crate::config::toml::TomlValue;

const VARIABLE: &str = "env:";
const FILE: &str = "file:";

/// Returns true if the text refers to a secret elsewhere.
pub(crate) fn is_reference(text: &str) -> bool {
    text.starts_with(VARIABLE) || text.starts_with(FILE)
}

/// Reads a secret of a Proxyfile: `env:NAME` from the environment and `file:PATH` from a file, relative to `folder`. Any
/// other text is the secret itself. Removes surrounding white space. The file counts as one that the Proxyfile names, also
/// if it cannot be read.
pub(crate) fn read_secret(
    value: &TomlValue<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<Secret> {
    let text = report.accept(value.start(), value.string())?;
    if let Some(path) = text.strip_prefix(FILE) {
        report.name_file(value.start(), value.key(), &folder.join(path));
    }
    report.accept(value.start(), resolve(text, folder))
}

/// Reads a secret of the command line in the same forms.
pub(crate) fn read_flag_secret(text: &str) -> Result<Secret, Problem> {
    resolve(text, Path::new(""))
}

fn resolve(text: &str, folder: &Path) -> Result<Secret, Problem> {
    let secret = if let Some(name) = text.strip_prefix(VARIABLE) {
        let value = std::env::var(name).map_err(|_| Problem::SecretVariable(name.to_owned()))?;
        Secret::referred(text, value.trim())
    } else if let Some(path) = text.strip_prefix(FILE) {
        let path = folder.join(path);
        match std::fs::read_to_string(&path) {
            Ok(secret) => Secret::referred(format!("file:{}", path.display()), secret.trim()),
            Err(source) => return Err(Problem::SecretFile { path, source }),
        }
    } else {
        Secret::new(text.trim())
    };
    if secret.expose().is_empty() {
        return Err(Problem::SecretEmpty);
    }
    Ok(secret)
}

/// A secret as the user wrote it: its text or a reference to it. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Returns the text or reference as written.
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

/// Hashes a password for `basic-auth`. Returns `None` if the system has no random numbers.
#[must_use]
pub fn hash_password(password: &str) -> Option<String> {
    crate::proxy::PasswordHash::make(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_text_a_variable_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "of the file\n").unwrap();
        std::fs::write(dir.path().join("empty"), "\n").unwrap();
        let resolve = |text| resolve(text, dir.path());
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
    fn a_secret_keeps_its_reference() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "of the file\n").unwrap();
        let file = resolve("file:key", dir.path()).unwrap();
        let reference = format!("file:{}", dir.path().join("key").display());
        assert_eq!(file.reference(), Some(reference.as_str()));
        let variable = resolve("env:PATH", dir.path()).unwrap();
        assert_eq!(variable.variable(), Some("PATH"));
        let shown = SecretText::from("hush".to_owned());
        assert_eq!(format!("{shown:?}"), "SecretText(..)");
    }
}
