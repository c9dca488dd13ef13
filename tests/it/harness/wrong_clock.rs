//! A clock that is wrong for one process: libfaketime, which Debian has as `faketime`.

use std::path::PathBuf;

use tokio::process::Command;

use crate::harness::skip::skip;

/// A clock with an offset from the machine's.
pub(crate) struct WrongClock {
    library: PathBuf,
    offset: String,
}

impl WrongClock {
    /// A clock that is ahead by this number of days, or behind if it is negative. Reports a skip and returns `None` if
    /// libfaketime cannot make one.
    pub(crate) async fn ahead(days: i64) -> Option<Self> {
        let Some(library) = library() else {
            skip("libfaketime is not installed");
            return None;
        };
        let clock = Self {
            library,
            offset: format!("{days:+}d"),
        };
        let seconds = |output: std::process::Output| -> Option<i64> {
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        let date = || {
            let mut command = Command::new("date");
            command.arg("+%s");
            command
        };
        let mut wrong = date();
        wrong.envs(clock.variables());
        let (wrong, right) = (
            wrong.output().await.unwrap(),
            date().output().await.unwrap(),
        );
        let is_wrong = match (seconds(wrong), seconds(right)) {
            (Some(wrong), Some(right)) => (wrong - right - days * 24 * 3600).abs() < 3600,
            _ => false,
        };
        if !is_wrong {
            skip("libfaketime does not change the clock of a process here");
            return None;
        }
        Some(clock)
    }

    /// The variables that give a process this clock. Its timers and the times of files stay right.
    pub(crate) fn variables(&self) -> [(String, String); 5] {
        let library = self.library.display().to_string();
        [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME", &self.offset),
            ("DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    }
}

/// Finds the library for programs with several threads, below the folder of the machine's architecture.
fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?;
    let mut paths = folders
        .filter_map(Result::ok)
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    paths.find(|path| path.exists())
}
