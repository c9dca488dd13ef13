//! The process around one running proxy: runtime, ready line, signals.

use std::error::Error as _;
use std::io::Write;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::logging::{self, LogLevel};
use super::{App, Error};
use crate::config::{Config, ConfigFile};

/// Runs until the process is told to stop and has drained. Where there is a file, it is read again when the process is
/// told to. Blocks.
pub fn run(config: &Config, file: Option<&ConfigFile>) -> Result<(), Error> {
    let level = logging::start(&config.log);
    // Requests have runtimes of their own: certificates and port 80 never keep them waiting.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let outcome = runtime.block_on(serve(config, file, &level));
    // A name that is still being resolved keeps nobody waiting.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: &Config, file: Option<&ConfigFile>, level: &LogLevel) -> Result<(), Error> {
    let mut stop = StopSignals::new().map_err(Error::Runtime)?;
    // Before anything is open, for without a handler the signal ends the process.
    let mut reopen = signal(SignalKind::user_defined1()).map_err(Error::Runtime)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(Error::Runtime)?;
    let mut app = App::start(config).await?;
    if let Err(error) = announce(&app) {
        warn!(%error, "the ready line could not be written to standard output");
    }
    let name = loop {
        tokio::select! {
            name = stop.next() => break name,
            _ = reopen.recv() => app.reopen_access_log(),
            // One that comes meanwhile is served next.
            _ = hang_up.recv() => tokio::select! {
                name = stop.next() => break name,
                () = reload(&mut app, file, level) => {}
            },
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

/// Brings what the file says by now into effect, or says why not.
async fn reload(app: &mut App, file: Option<&ConfigFile>, level: &LogLevel) {
    let Some(file) = file else {
        warn!("nothing is read again: the configuration came with the command line");
        return;
    };
    let path = file.path().display();
    match app.reload(file).await {
        Ok(changes) => {
            level.set(app.config().log.level);
            info!(
                file = %path, sites = app.config().sites.len(),
                added = changes.added, removed = changes.removed, changed = changes.changed,
                "configuration reloaded"
            );
        }
        Err(reason) => error!(
            file = %path, error = %one_line(&reason),
            "configuration not reloaded, the former one stays in effect"
        ),
    }
}

/// All that is wrong with a configuration, and why.
fn one_line(error: &Error) -> String {
    let words = |error: &dyn std::error::Error| error.to_string().replace('\n', "; ");
    let mut line = words(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = words(error);
        if !line.contains(&words) {
            line = format!("{line}: {words}");
        }
        cause = error.source();
    }
    line
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
