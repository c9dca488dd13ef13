//! The signals that the process handles.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// All signals that the process handles. Without a handler, each of them ends it.
pub(in crate::app) struct Signals {
    pub(in crate::app) stop: StopSignals,
    /// SIGHUP: the configuration has changed.
    pub(in crate::app) reload: Signal,
    /// SIGUSR1: the file of the access log was moved.
    pub(in crate::app) reopen: Signal,
    /// SIGUSR2: the binary was replaced.
    pub(in crate::app) upgrade: Signal,
}

impl Signals {
    /// Handles the signals from now on.
    pub(in crate::app) fn handle() -> io::Result<Self> {
        Ok(Self {
            stop: StopSignals::new()?,
            reload: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }
}

/// The two signals that stop the process.
pub(in crate::app) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            terminate,
            interrupt,
        })
    }

    /// Waits for one of them. Returns its name.
    pub(in crate::app) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
