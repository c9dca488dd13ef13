//! The receiver of messages about problems: a command, or the URL of a web server.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use super::path::command_path;
use super::web_url::parse_web_url;
use crate::certs::Secret;
use crate::config::report::Problem;

/// Replaces the path of a URL in listings, because whoever knows it can often send messages too.
const HIDDEN_PATH: &str = "/(not shown here)";

/// The receiver of messages about problems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProblemReceiver {
    /// A command of the operator.
    Command(PathBuf),
    /// A web server, which gets JSON.
    Webhook(Webhook),
}

/// The URL of a web server that receives messages. `Debug` and `Display` do not show its path.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    url: Url,
    reference: Option<String>,
}

impl ProblemReceiver {
    /// Parses a command, relative to `folder`, or an http or https URL.
    pub(crate) fn parse(key: &str, text: &str, folder: &Path) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(Problem::NoHook(key.to_owned()));
        }
        if let Some(url) = parse_web_url(text) {
            let reference = None;
            return Ok(Self::Webhook(Webhook { url, reference }));
        }
        Ok(Self::Command(command_path(folder, text)))
    }

    /// Parses a URL that stands elsewhere. `text` is the reference as written.
    pub(crate) fn referred(text: &str, secret: &Secret) -> Result<Self, Problem> {
        let url = parse_web_url(secret.expose());
        Ok(Self::Webhook(Webhook {
            url: url.ok_or_else(|| Problem::Webhook(text.to_owned()))?,
            reference: secret.reference().map(str::to_owned),
        }))
    }
}

impl fmt::Display for ProblemReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(path) => write!(f, "{}", path.display()),
            Self::Webhook(webhook) => write!(f, "{webhook}"),
        }
    }
}

impl Webhook {
    /// Returns the URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reference {
            Some(reference) => f.write_str(reference),
            None => {
                let origin = self.url.origin().ascii_serialization();
                write!(f, "{origin}{HIDDEN_PATH}")
            }
        }
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_a_command_a_url_or_a_reference_to_a_url() {
        let dir = tempfile::tempdir().unwrap();
        let parse = |text| ProblemReceiver::parse("on-problem", text, dir.path());
        let shown = |text| parse(text).unwrap().to_string();
        assert_eq!(shown("/bin/tell"), "/bin/tell");
        assert_eq!(shown("tell"), dir.path().join("tell").display().to_string());
        let inline = shown("https://hooks.example.org/T1/secret");
        assert_eq!(inline, "https://hooks.example.org/(not shown here)");
        let referred = |text, url| ProblemReceiver::referred(text, &Secret::referred(text, url));
        let from_file = referred("file:/url", "https://hooks.example.org/T1/secret").unwrap();
        assert!(!format!("{from_file:?}").contains("secret"));
        let ProblemReceiver::Webhook(webhook) = from_file else {
            panic!("no webhook");
        };
        assert_eq!(webhook.url().path(), "/T1/secret");
        assert!(webhook.to_string().ends_with("/url"));
        let empty = parse("").unwrap_err().to_string();
        assert!(empty.contains("`on-problem` is empty"), "{empty}");
        let bad = referred("file:bad", "hooks.example.org").unwrap_err();
        assert!(bad.to_string().contains("`file:bad` holds no URL"), "{bad}");
    }
}
