//! The process around one running proxy: runtime, ready line, signals.

use std::io::Write;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::{App, Error, logging};
use crate::config::Config;

/// Runs until the process is told to stop and has drained. Blocks.
pub fn run(config: &Config) -> Result<(), Error> {
    logging::start(&config.log);
    // Requests have runtimes of their own: certificates and port 80 never keep them waiting.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let outcome = runtime.block_on(serve(config));
    // A name that is still being resolved keeps nobody waiting.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: &Config) -> Result<(), Error> {
    let mut stop = StopSignals::new().map_err(Error::Runtime)?;
    // Before anything is open, for without a handler the signal ends the process.
    let mut reopen = signal(SignalKind::user_defined1()).map_err(Error::Runtime)?;
    let app = App::start(config).await?;
    if let Err(error) = announce(&app) {
        warn!(%error, "the ready line could not be written to standard output");
    }
    let name = loop {
        tokio::select! {
            name = stop.next() => break name,
            _ = reopen.recv() => app.reopen_access_log(),
        }
    };
    info!(signal = name, "draining");
    tokio::select! {
        cut = app.stop() => match cut {
            0 => info!("stopped"),
            cut => warn!(cut, "stopped, connections were cut at the end of the drain"),
        },
        name = stop.next() => warn!(signal = name, "stopped at once"),
    }
    Ok(())
}

/// The line that tells a supervisor, or a test, that both doors are open.
fn announce(app: &App) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "ready http={} https={}", app.http(), app.https())?;
    stdout.flush()
}

struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            terminate,
            interrupt,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
