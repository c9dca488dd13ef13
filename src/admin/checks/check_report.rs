//! The report of `proxy doctor` and of `proxy rehearse`.

use serde::{Deserialize, Serialize};

use crate::name::HostPattern;

/// How bad a finding is. The worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// All is as it should be.
    Ok,
    /// It works, or may work, but an operator should know.
    Warn,
    /// Something does not work.
    Fail,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The name that was checked, if the check is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The check in a word or two.
    pub check: String,
    /// How bad it is.
    pub status: CheckStatus,
    /// The finding in one sentence, with the fix if there is something to fix.
    pub sentence: String,
}

/// All results, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The results: those about the machine, then those of each name.
    pub checks: Vec<CheckResult>,
}

/// The body of a request for checks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct CheckRequest {
    /// The names to check. Empty means all configured ones.
    pub(in crate::admin) names: Vec<String>,
}

impl CheckResult {
    /// A check that found nothing wrong.
    #[must_use]
    pub fn ok(check: &str, sentence: impl ToString) -> Self {
        Self::new(CheckStatus::Ok, check, sentence)
    }

    /// A check that found something that may be wrong.
    #[must_use]
    pub fn warn(check: &str, sentence: impl ToString) -> Self {
        Self::new(CheckStatus::Warn, check, sentence)
    }

    /// A check that found something wrong.
    #[must_use]
    pub fn fail(check: &str, sentence: impl ToString) -> Self {
        Self::new(CheckStatus::Fail, check, sentence)
    }

    /// A check with this status.
    #[must_use]
    pub fn new(status: CheckStatus, check: &str, sentence: impl ToString) -> Self {
        Self {
            name: None,
            check: check.to_owned(),
            status,
            sentence: sentence.to_string(),
        }
    }

    /// Says which name the check is about.
    #[must_use]
    pub fn about(self, name: &HostPattern) -> Self {
        Self {
            name: Some(name.to_string()),
            ..self
        }
    }
}

impl CheckReport {
    /// Returns the worst status.
    #[must_use]
    pub fn worst(&self) -> CheckStatus {
        let statuses = self.checks.iter().map(|check| check.status);
        statuses.max().unwrap_or(CheckStatus::Ok)
    }
}
