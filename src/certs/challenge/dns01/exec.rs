//! DNS provider: a program of the operator, called without a shell, with the action, the name and the value as arguments.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::error::{Dns01Error, HookFault};
use super::provider::{DnsProvider, TxtRecord};

/// Time limit for one call.
const DEADLINE: Duration = Duration::from_secs(60);

/// Time limit for reading standard error after the program has ended. A child of the program may keep the pipe open.
const STDERR_WAIT: Duration = Duration::from_secs(1);

/// Number of bytes of standard error that are kept.
const STDERR_LIMIT: u64 = 2000;

/// Calls `PROGRAM present|cleanup NAME VALUE`, never twice at the same time, because such programs often rewrite one file.
#[derive(Debug)]
pub struct ExecHook {
    program: PathBuf,
    hidden: Vec<String>,
    deadline: Duration,
    queue: Mutex<()>,
}

impl ExecHook {
    /// Creates a hook. The program gets neither the environment variables `hidden` nor those of the proxy (`PROXY_…`).
    #[must_use]
    pub fn new(program: PathBuf, hidden: Vec<String>) -> Self {
        Self {
            program,
            hidden,
            deadline: DEADLINE,
            queue: Mutex::new(()),
        }
    }

    async fn call(&self, action: &'static str, record: &TxtRecord) -> Result<(), Dns01Error> {
        let _queued = self.queue.lock().await;
        let outcome = match self.command(action, record).spawn() {
            Ok(mut child) => match timeout(self.deadline, run(&mut child, action)).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    let _ = child.kill().await;
                    let limit = self.deadline;
                    Err(HookFault::Slow { action, limit })
                }
            },
            Err(error) => Err(HookFault::Start(error)),
        };
        outcome.map_err(|fault| Dns01Error::Hook {
            program: self.program.clone(),
            fault,
        })
    }

    fn command(&self, action: &str, record: &TxtRecord) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args([action, &record.name, &record.value])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C in the terminal stops the proxy but lets the hook finish its cleanup.
            .process_group(0);
        let variables = std::env::vars_os().map(|(name, _)| name);
        for name in variables.filter(|name| self.hides(name)) {
            command.env_remove(name);
        }
        command
    }

    fn hides(&self, name: &OsString) -> bool {
        let text = name.to_string_lossy();
        text.starts_with("PROXY_") || self.hidden.iter().any(|hidden| *hidden == text)
    }
}

async fn run(child: &mut Child, action: &'static str) -> Result<(), HookFault> {
    let stderr = child.stderr.take();
    let mut reading = pin!(read(stderr));
    let mut output = None;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(HookFault::Start)?,
            text = &mut reading, if output.is_none() => output = Some(text),
        }
    };
    if status.success() {
        return Ok(());
    }
    let stderr = match output {
        Some(output) => output,
        None => timeout(STDERR_WAIT, reading).await.unwrap_or_default(),
    };
    Err(HookFault::Failed {
        action,
        status,
        stderr,
    })
}

/// Returns the beginning of the stream as one line. The rest is read and dropped, so that the program never blocks on a
/// full pipe.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else {
        return String::new();
    };
    let mut bytes = Vec::new();
    let _ = (&mut stream)
        .take(STDERR_LIMIT)
        .read_to_end(&mut bytes)
        .await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    let text = String::from_utf8_lossy(&bytes);
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

impl DnsProvider for ExecHook {
    fn check<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async move {
            let outcome = match tokio::fs::metadata(&self.program).await {
                Ok(file) if file.is_file() && file.permissions().mode() & 0o111 != 0 => Ok(()),
                Ok(_) => Err(std::io::ErrorKind::PermissionDenied.into()),
                // A program without a folder is found in PATH when it is run.
                Err(_) if self.program.components().count() == 1 => Ok(()),
                Err(error) => Err(error),
            };
            outcome.map_err(|error| Dns01Error::Hook {
                program: self.program.clone(),
                fault: HookFault::Start(error),
            })
        }
        .boxed()
    }

    /// Many such programs replace the record, because the tool behind them does.
    fn may_replace_values(&self) -> bool {
        true
    }

    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        self.call("present", record).boxed()
    }

    fn cleanup<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        self.call("cleanup", record).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Hook {
        dir: tempfile::TempDir,
        hook: ExecHook,
    }

    impl Hook {
        fn new(script: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("hook");
            let output = dir.path().join("output");
            let script = format!("#!/bin/sh\nexec >{}\n{script}\n", output.display());
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
            let hook = ExecHook::new(path, vec!["HOME".to_owned()]);
            Self { dir, hook }
        }

        fn output(&self) -> String {
            std::fs::read_to_string(self.dir.path().join("output")).unwrap()
        }

        async fn sentence(&self) -> String {
            let error = self.hook.present(&record()).await.unwrap_err().to_string();
            error.replace(&self.dir.path().display().to_string(), "DIR")
        }
    }

    fn record() -> TxtRecord {
        TxtRecord {
            name: "_acme-challenge.example.org".to_owned(),
            value: "-v;$(a) b".to_owned(),
        }
    }

    #[tokio::test]
    async fn the_hook_gets_action_name_and_value_unchanged_and_no_secrets() {
        let hook = Hook::new(r#"printf '%s|' "$@" "${HOME-hidden}" "${PATH:+path}""#);
        hook.hook.present(&record()).await.unwrap();
        let expected = "present|_acme-challenge.example.org|-v;$(a) b|hidden|path|";
        assert_eq!(hook.output(), expected);
        hook.hook.cleanup(&record()).await.unwrap();
        assert!(hook.output().starts_with("cleanup|"));
    }

    #[tokio::test]
    async fn a_failure_shows_exit_status_and_standard_error() {
        let hook = Hook::new("printf 'no such\\n zone' >&2; exit 3");
        assert_eq!(
            hook.sentence().await,
            "the hook DIR/hook failed to present (exit status: 3): no such zone"
        );
        let hook = Hook::new("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1");
        assert!(hook.sentence().await.len() < 2200);
        let mut hook = Hook::new("");
        hook.hook.check("example.org").await.unwrap();
        hook.hook.program = "/nowhere/hook".into();
        hook.hook.check("example.org").await.unwrap_err();
        assert!(
            hook.sentence()
                .await
                .starts_with("the hook /nowhere/hook cannot be run: No such file")
        );
    }

    #[tokio::test]
    async fn a_hook_that_does_not_finish_is_killed() {
        let mut hook = Hook::new("echo $$; exec sleep 60");
        hook.hook.deadline = Duration::from_millis(300);
        assert_eq!(
            hook.sentence().await,
            "the hook DIR/hook did not finish `present` within 300ms and was killed"
        );
        let process = format!("/proc/{}", hook.output().trim());
        assert!(!std::path::Path::new(&process).exists());
    }
}
