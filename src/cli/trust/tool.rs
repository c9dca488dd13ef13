//! Runs the programs that manage trust stores.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Reasons why a program failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    #[error("`{0}` is missing; install the package that it belongs to")]
    Missing(String),
    #[error("`{name}` cannot be run: {source}")]
    Start { name: String, source: io::Error },
    #[error("`{name}` failed: {said}")]
    Failed { name: String, said: String },
}

/// The directories with programs.
#[derive(Debug)]
pub(super) struct Tools {
    path: OsString,
}

impl Tools {
    /// Takes the user's path, and the directories that usually only root's path has.
    pub(super) fn below(root: &Path) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let more = ["usr/sbin", "sbin"].map(|folder| root.join(folder));
        let all: Vec<PathBuf> = std::env::split_paths(&path).chain(more).collect();
        Self {
            path: std::env::join_paths(all).unwrap_or(path),
        }
    }

    /// Runs a program without input, and waits for its end.
    pub(super) fn run<A: AsRef<OsStr>>(&self, name: &str, args: &[A]) -> Result<(), ToolError> {
        let mut command = Command::new(name);
        command.args(args).stdin(Stdio::null());
        self.finish(command)
    }

    /// Runs a command, and waits for its end.
    pub(super) fn finish(&self, mut command: Command) -> Result<(), ToolError> {
        let output = command.env("PATH", &self.path).output();
        let name = command.get_program().to_string_lossy().into_owned();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(ToolError::Failed {
                name,
                said: last_line(&output.stderr),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ToolError::Missing(name)),
            Err(source) => Err(ToolError::Start { name, source }),
        }
    }
}

fn last_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("no message on standard error")
        .trim()
        .to_owned()
}
