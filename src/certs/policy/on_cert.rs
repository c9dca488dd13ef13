//! The operator's command after each new certificate, so that other daemons can load it.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::name::HostPattern;
use crate::tasks::Tasks;

/// Limits how many commands run at once.
const PARALLEL: usize = 4;

/// Limits how long one command may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Number of characters of standard error that the log shows.
const EXCERPT: usize = 200;

/// Runs `COMMAND NAME FILE` after each new certificate, in the background. A failure is logged as a warning.
#[derive(Clone, Debug)]
pub struct OnCert {
    command: PathBuf,
    tasks: Tasks,
    permits: Arc<Semaphore>,
}

/// A reason why a command failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{} cannot be run: {source}; make it an executable file", command.display())]
    Start {
        command: PathBuf,
        source: std::io::Error,
    },
    #[error("{} did not finish within {} s and was killed", command.display(), DEADLINE.as_secs())]
    Deadline { command: PathBuf },
    #[error("{} {}: {stderr}", command.display(), ending(*status))]
    Failed {
        command: PathBuf,
        status: ExitStatus,
        stderr: String,
    },
}

impl OnCert {
    /// A hook that runs `command` in a task of `tasks`.
    #[must_use]
    pub fn new(command: PathBuf, tasks: Tasks) -> Self {
        Self {
            command,
            tasks,
            permits: Arc::new(Semaphore::new(PARALLEL)),
        }
    }

    /// Runs the command for `subject` as soon as one of the parallel slots is free. `file` holds chain and key.
    pub fn run(&self, subject: &HostPattern, file: String) {
        let (hook, subject) = (self.clone(), subject.clone());
        self.tasks.spawn(async move {
            let Ok(_permit) = hook.permits.acquire().await else {
                return;
            };
            match hook.call(&subject, &file).await {
                Ok(()) => debug!(names = %subject, "on-cert command finished"),
                Err(error) => warn!(names = %subject, %file, %error, "on-cert command failed"),
            }
        });
    }

    async fn call(&self, subject: &HostPattern, file: &str) -> Result<(), Error> {
        let command = || self.command.clone();
        let cannot_run = |source| Error::Start {
            command: command(),
            source,
        };
        // A process group of its own, so that the deadline also kills what the command has started.
        let child = Command::new(&self.command)
            .arg(subject.to_string())
            .arg(file)
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
        on_cert: OnCert,
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
            on_cert: OnCert::new(path, Tasks::new()),
        }
    }

    fn subject() -> HostPattern {
        HostPattern::parse("*.example.org").unwrap()
    }

    #[tokio::test]
    async fn the_command_gets_name_and_file() {
        let hook = hook("echo \"$# $1 $2\" > said");
        hook.on_cert
            .call(&subject(), "/data/a b.pem")
            .await
            .unwrap();
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
            let error = hook(script)
                .on_cert
                .call(&subject(), "f")
                .await
                .unwrap_err();
            assert!(error.to_string().contains(sentence), "{error}");
        }
        let missing = OnCert::new("/no/such/hook".into(), Tasks::new());
        let error = missing.call(&subject(), "f").await.unwrap_err();
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
        let subject = subject();
        let (ended, ()) = tokio::join!(hook.on_cert.call(&subject, "f"), is_started);
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

    #[tokio::test]
    async fn a_few_run_at_once_and_the_rest_wait() {
        // Each command leaves a mark when it starts, and then waits until its pipe is written to.
        let hook = hook("mkfifo \"pipe$2\"; echo > \"mark$2\"; cat \"pipe$2\"");
        for index in 0..PARALLEL + 3 {
            hook.on_cert.run(&subject(), index.to_string());
        }
        let marks = || {
            let names = std::fs::read_dir(hook.dir.path()).unwrap();
            names
                .filter(|entry| {
                    entry
                        .as_ref()
                        .unwrap()
                        .file_name()
                        .to_string_lossy()
                        .starts_with("mark")
                })
                .count()
        };
        while marks() < PARALLEL {
            tokio::task::yield_now().await;
        }
        assert_eq!(hook.on_cert.permits.available_permits(), 0);
        assert_eq!(marks(), PARALLEL);
        let mut opened = Vec::new();
        while opened.len() < PARALLEL + 3 {
            for index in (0..PARALLEL + 3)
                .filter(|index| !opened.contains(index))
                .collect::<Vec<_>>()
            {
                if hook.dir.path().join(format!("mark{index}")).exists() {
                    // Opening the pipe waits for its reader.
                    let pipe = hook.dir.path().join(format!("pipe{index}"));
                    tokio::fs::write(pipe, b"").await.unwrap();
                    opened.push(index);
                }
            }
            tokio::task::yield_now().await;
        }
        hook.on_cert.tasks.drain(DEADLINE).await;
        assert_eq!(marks(), PARALLEL + 3);
    }
}
