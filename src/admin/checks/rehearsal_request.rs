//! The request for a rehearsal.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The body of a request for a rehearsal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RehearsalRequest {
    /// The names to order. Empty means all configured ones.
    pub names: Vec<String>,
    /// The CA to order at, instead of the staging CA of each CA.
    pub ca: Option<RehearsalCa>,
}

/// A CA for a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RehearsalCa {
    /// The URL of its directory.
    pub directory: String,
    /// PEM file with an extra root for HTTPS requests to it.
    pub root: Option<PathBuf>,
}
