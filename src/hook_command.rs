//! A command of the operator that runs when something has happened. It has a deadline, and a process group of its own.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

/// Limits how long a command may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Number of characters of standard error that the log shows.
const EXCERPT: usize = 200;

/// A command of the operator.
#[derive(Clone, Debug)]
pub struct HookCommand {
    command: PathBuf,
}

/// A reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command cannot be started.
    #[error("{} cannot be run: {source}; make it an executable file", command.display())]
    Start {
        /// The command.
        command: PathBuf,
        /// The reason of the system.
        source: io::Error,
    },
    /// The command took too long.
    #[error("{} did not finish within {} s and was killed", command.display(), DEADLINE.as_secs())]
    Deadline {
        /// The command.
        command: PathBuf,
    },
    /// The command says that it failed.
    #[error("{} {}: {stderr}", command.display(), ending(*status))]
    Failed {
        /// The command.
        command: PathBuf,
        /// Its exit code or signal.
        status: ExitStatus,
        /// The last line of its standard error.
        stderr: String,
    },
}

impl HookCommand {
    /// Creates a hook that runs the file at this path.
    #[must_use]
    pub fn new(command: PathBuf) -> Self {
        Self { command }
    }

    /// Runs the command with these arguments, and waits for its end.
    pub async fn run<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> Result<(), Error> {
        let command = || self.command.clone();
        let cannot_run = |source| Error::Start {
            command: command(),
            source,
        };
        // A process group of its own, so that the deadline also kills what the command has started.
        let child = Command::new(&self.command)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn();
        let child = child.map_err(cannot_run)?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let ended = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
        let Ok(ended) = ended else {
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            return Err(Error::Deadline { command: command() });
        };
        let Output { status, stderr, .. } = ended.map_err(cannot_run)?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::Failed {
                command: command(),
                status,
                stderr: excerpt(&stderr),
            })
        }
    }
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "failed".to_owned(),
    }
}

/// Returns the last line of standard error, where scripts usually say why they failed.
fn excerpt(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    let Some(line) = line else {
        return "no message on standard error".to_owned();
    };
    let visible = |c: &char| !c.is_control();
    line.trim().chars().filter(visible).take(EXCERPT).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Hook {
        dir: tempfile::TempDir,
        command: HookCommand,
    }

    fn hook(script: &str) -> Hook {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hook");
        std::fs::write(
            &path,
            format!("#!/bin/sh\ncd '{}'\n{script}\n", dir.path().display()),
        )
        .unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        Hook {
            dir,
            command: HookCommand::new(path),
        }
    }

    #[tokio::test]
    async fn the_command_gets_its_arguments() {
        let hook = hook("echo \"$# $1 $2\" > said");
        let args = ["*.example.org", "/data/a b.pem"];
        hook.command.run(args).await.unwrap();
        let said = std::fs::read_to_string(hook.dir.path().join("said")).unwrap();
        assert_eq!(said, "2 *.example.org /data/a b.pem\n");
    }

    #[tokio::test]
    async fn a_failure_is_reported_with_its_reason() {
        for (script, sentence) in [
            (
                "echo one >&2; echo two >&2; exit 3",
                "ended with exit code 3: two",
            ),
            ("exit 1", "ended with exit code 1: no message"),
            ("kill -9 $$", "was killed by signal 9"),
        ] {
            let error = hook(script).command.run(["f"]).await.unwrap_err();
            assert!(error.to_string().contains(sentence), "{error}");
        }
        let missing = HookCommand::new("/no/such/hook".into());
        let error = missing.run(["f"]).await.unwrap_err();
        assert!(
            error.to_string().contains("/no/such/hook cannot be run"),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_hangs_is_killed_with_its_children() {
        let hook = hook("mkfifo never; cat never & echo $! > pid; mv pid started; wait");
        let started = hook.dir.path().join("started");
        let is_started = async {
            // The paused clock does not advance while this runs.
            while !started.exists() {
                tokio::task::yield_now().await;
            }
        };
        let (ended, ()) = tokio::join!(hook.command.run(["f"]), is_started);
        let error = ended.unwrap_err().to_string();
        assert!(error.contains("within 60 s"), "{error}");
        let child = std::fs::read_to_string(started).unwrap();
        let stat = format!("/proc/{}/stat", child.trim());
        // A killed process may still be a zombie.
        let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        for _ in 0..1_000_000 {
            if !runs() {
                return;
            }
            std::thread::yield_now();
        }
        panic!("the child still runs");
    }
}
