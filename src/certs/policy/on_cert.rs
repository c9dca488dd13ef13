//! The operator's command after each new certificate, so that other daemons can load it.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::hook_command::HookCommand;
use crate::name::HostPattern;
use crate::tasks::Tasks;

/// Limits how many commands run at once.
const PARALLEL: usize = 4;

/// Runs `COMMAND NAME FILE` after each new certificate, in the background. A failure is logged as a warning.
#[derive(Clone, Debug)]
pub struct OnCert {
    command: HookCommand,
    tasks: Tasks,
    permits: Arc<Semaphore>,
}

impl OnCert {
    /// A hook that runs `command` in a task of `tasks`.
    #[must_use]
    pub fn new(command: PathBuf, tasks: Tasks) -> Self {
        Self {
            command: HookCommand::new(command),
            tasks,
            permits: Arc::new(Semaphore::new(PARALLEL)),
        }
    }

    /// Runs the command for `subject` as soon as one of the parallel slots is free. `file` holds chain and key.
    pub fn run(&self, subject: &HostPattern, file: String) {
        let (hook, subject) = (self.clone(), subject.to_string());
        self.tasks.spawn(async move {
            let Ok(_permit) = hook.permits.acquire().await else {
                return;
            };
            match hook.command.run([&subject, &file]).await {
                Ok(()) => debug!(names = %subject, "on-cert command finished"),
                Err(error) => warn!(names = %subject, %file, %error, "on-cert command failed"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

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
        hook.on_cert.tasks.drain(Duration::from_secs(60)).await;
        assert_eq!(marks(), PARALLEL + 3);
    }
}
