//! Secrets, which may stand elsewhere than in the Proxyfile.

use std::io;
use std::path::{Path, PathBuf};

/// Why a secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretError {
    #[error(
        "the environment variable {0} is not set; set it, or name another one, as in `env:NAME`"
    )]
    NoVariable(String),
    #[error("cannot read {}: {source}; name a file that holds the secret, as in `file:PATH`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What `text` says, or what it refers to by `env:NAME` or `file:PATH`; relative paths start at `folder`.
pub(super) fn read(text: &str, folder: &Path) -> Result<String, SecretError> {
    if let Some(name) = text.strip_prefix("env:") {
        return std::env::var(name).map_err(|_| SecretError::NoVariable(name.to_owned()));
    }
    let Some(path) = text.strip_prefix("file:") else {
        return Ok(text.to_owned());
    };
    let path = folder.join(path);
    match std::fs::read_to_string(&path) {
        Ok(secret) => Ok(secret.trim_end_matches(['\r', '\n']).to_owned()),
        Err(source) => Err(SecretError::Read { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_stands_in_place_in_a_file_or_in_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "s3cret\n").unwrap();
        assert_eq!(read("s3cret", dir.path()).unwrap(), "s3cret");
        assert_eq!(read("file:secret", dir.path()).unwrap(), "s3cret");
        let variable = read("env:CARGO_PKG_NAME", dir.path()).unwrap();
        assert_eq!(variable, "proxy");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let missing = read("file:none", Path::new("/nowhere")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/none"), "{missing}");
        let unset = read("env:PROXY_TEST_UNSET_SECRET", Path::new("")).unwrap_err();
        assert!(unset.to_string().contains("PROXY_TEST_UNSET_SECRET"));
    }
}
