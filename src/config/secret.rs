//! Secrets: spelled out, in an environment variable or in a file.

use std::path::Path;

use crate::certs::Secret;

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretProblem {
    #[error("the environment variable `{0}` is not set; set it, or name a file with `file:PATH`")]
    NoVariable(String),
    #[error("the secret in {path} cannot be read: {source}")]
    File {
        path: String,
        source: std::io::Error,
    },
    #[error("the secret is empty")]
    Empty,
}

/// Reads `env:NAME`, `file:PATH` (from `folder` on) or the secret itself. The line end of a file is no part of it.
pub(super) fn read_secret(text: &str, folder: &Path) -> Result<Secret, SecretProblem> {
    let secret = if let Some(name) = text.strip_prefix("env:") {
        let value = std::env::var(name);
        let value = value.map_err(|_| SecretProblem::NoVariable(name.to_owned()))?;
        Secret::referred(text, value)
    } else if let Some(path) = text.strip_prefix("file:") {
        let path = folder.join(path);
        let shown = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => Secret::referred(format!("file:{shown}"), text.trim_end()),
            Err(source) => {
                return Err(SecretProblem::File {
                    path: shown,
                    source,
                });
            }
        }
    } else {
        Secret::new(text)
    };
    match secret.expose().is_empty() {
        true => Err(SecretProblem::Empty),
        false => Ok(secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_where_it_is_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "from a file\n").unwrap();
        std::fs::write(dir.path().join("nothing"), "\n").unwrap();
        let read = |text| read_secret(text, dir.path());
        let sentence = |text| read(text).unwrap_err().to_string();
        assert_eq!(read("plain").unwrap().expose(), "plain");
        assert_eq!(read("file:token").unwrap().expose(), "from a file");
        assert_eq!(read("env:PATH").unwrap().variable(), Some("PATH"));
        assert_eq!(
            sentence("env:NO_SUCH_VARIABLE"),
            "the environment variable `NO_SUCH_VARIABLE` is not set; set it, or name a file with `file:PATH`"
        );
        assert!(sentence("file:none").contains("none cannot be read"));
        assert_eq!(sentence("file:nothing"), "the secret is empty");
    }
}
