//! The error that this machine has no certificates of CAs.

use std::env;

/// Variables that name a file or a folder with certificates, instead of the usual ones.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Reason why no server can be believed: this machine has no certificates of CAs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this machine has no certificates of public CAs{}", fix(.variables))]
pub struct NoRoots {
    /// Variables that are set, because of which the usual places were not looked at.
    variables: Vec<&'static str>,
}

impl NoRoots {
    /// Describes the reason, after a search that has found none.
    #[must_use]
    pub fn found() -> Self {
        let is_set = |name: &&str| env::var_os(name).is_some();
        Self {
            variables: VARIABLES.into_iter().filter(is_set).collect(),
        }
    }
}

fn fix(variables: &[&str]) -> String {
    match variables {
        [] => "; install the package `ca-certificates`".to_owned(),
        [one] => format!(
            " where {one} points; correct it, or remove it and install the package `ca-certificates`"
        ),
        several => format!(
            " where {} point; correct them, or remove them and install the package `ca-certificates`",
            several.join(" and ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_the_package_and_the_variables_that_are_set() {
        for (variables, expected) in [
            (
                &[][..],
                "this machine has no certificates of public CAs; install the package `ca-certificates`",
            ),
            (
                &VARIABLES[..1],
                "this machine has no certificates of public CAs where SSL_CERT_FILE points; correct it, or remove it and install the package `ca-certificates`",
            ),
            (
                &VARIABLES[..],
                "this machine has no certificates of public CAs where SSL_CERT_FILE and SSL_CERT_DIR point; correct them, or remove them and install the package `ca-certificates`",
            ),
        ] {
            let error = NoRoots {
                variables: variables.to_vec(),
            };
            assert_eq!(error.to_string(), expected);
        }
    }
}
