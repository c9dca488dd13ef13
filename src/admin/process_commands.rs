//! Commands of the admin socket for the whole process. Whoever runs the process carries them out.

use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

use super::checks::{CheckReport, RehearsalRequest};
use super::error::Error;
use super::response::{Reloaded, Stopped, Upgraded};

/// Commands that wait to be carried out.
const WAITING: usize = 8;

/// A command for the process, with the sender of its result.
#[derive(Debug)]
pub enum ProcessCommand {
    /// Read the configuration again.
    Reload(oneshot::Sender<Result<Reloaded, Error>>),
    /// Start this binary, or that of the process, as the successor of the process, and stop once it serves.
    Upgrade(Option<PathBuf>, oneshot::Sender<Result<Upgraded, Error>>),
    /// Check what must hold for these names, or for all configured ones if there are none.
    Check(Vec<String>, oneshot::Sender<CheckReport>),
    /// Order certificates at staging CAs, and throw them away.
    Rehearse(RehearsalRequest, oneshot::Sender<CheckReport>),
    /// Stop, after running requests have ended.
    Stop(oneshot::Sender<Stopped>),
}

/// Sender of commands. Clones send to the same process.
#[derive(Clone, Debug)]
pub struct ProcessCommands(mpsc::Sender<ProcessCommand>);

impl ProcessCommands {
    /// Creates a sender, and the receiver for whoever runs the process.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<ProcessCommand>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    pub(super) async fn reload(&self) -> Result<Reloaded, Error> {
        self.result_of(ProcessCommand::Reload).await?
    }

    pub(super) async fn upgrade(&self, binary: Option<PathBuf>) -> Result<Upgraded, Error> {
        let command = |sender| ProcessCommand::Upgrade(binary, sender);
        self.result_of(command).await?
    }

    pub(super) async fn check(&self, names: Vec<String>) -> Result<CheckReport, Error> {
        self.result_of(|asker| ProcessCommand::Check(names, asker))
            .await
    }

    pub(super) async fn rehearse(&self, request: RehearsalRequest) -> Result<CheckReport, Error> {
        self.result_of(|asker| ProcessCommand::Rehearse(request, asker))
            .await
    }

    pub(super) async fn stop(&self) -> Result<Stopped, Error> {
        self.result_of(ProcessCommand::Stop).await
    }

    async fn result_of<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> ProcessCommand,
    ) -> Result<T, Error> {
        let (sender, result) = oneshot::channel();
        let sent = self.0.send(command(sender)).await;
        sent.map_err(|_| Error::Stopping)?;
        result.await.map_err(|_| Error::Stopping)
    }
}
