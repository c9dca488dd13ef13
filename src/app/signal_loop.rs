//! The process around a running proxy: its runtime, the ready line, and what each signal does.

use std::error::Error as _;
use std::io::Write;

use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use super::listeners::{BoundListener, BoundListeners};
use super::logging::{self, Log, WHOLE};
use super::signals::Signals;
use super::{App, Error};
use crate::config::{Config, ConfigFile};

/// Runs the proxy until the process is told to stop and has drained. SIGHUP reloads the file, if there is one. Blocks.
pub fn run(config: &Config, file: Option<&ConfigFile>) -> Result<(), Error> {
    let log = logging::start(&config.log).map_err(Error::Runtime)?;
    // For certificates, the admin socket and metrics. Requests have runtimes of their own, which this one never delays.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let outcome = runtime.block_on(serve(config, file, &log));
    // Does not wait for blocking tasks, such as a slow name resolution.
    runtime.shutdown_background();
    log.finish();
    outcome
}

async fn serve(config: &Config, file: Option<&ConfigFile>, log: &Log) -> Result<(), Error> {
    // Before the start: until they are handled, the signals end the process.
    let mut signals = Signals::handle().map_err(Error::Runtime)?;
    let mut app = App::start(config).await?;
    let ready_line = ready_line(&app);
    // Not here: a standard output that nobody reads would block this thread.
    spawn_blocking(move || write_ready_line(&ready_line));
    let name = loop {
        tokio::select! {
            name = signals.stop.next() => break name,
            _ = signals.reopen.recv() => app.reopen_access_log(),
            // A second SIGHUP during a reload is handled after it.
            _ = signals.reload.recv() => tokio::select! {
                name = signals.stop.next() => break name,
                () = reload(&mut app, file, log) => {}
            },
        }
    };
    info!(signal = name, "draining");
    tokio::select! {
        cut = app.stop() => match cut {
            0 => info!("stopped"),
            cut => warn!(cut, "stopped: some connections were cut at the end of the drain"),
        },
        name = signals.stop.next() => warn!(signal = name, "stopped at once"),
    }
    Ok(())
}

/// Reloads the file, and logs the result.
async fn reload(app: &mut App, file: Option<&ConfigFile>, log: &Log) {
    let Some(file) = file else {
        warn!("nothing to reload: the configuration is from the command line");
        return;
    };
    let path = file.path().display();
    match app.reload(file).await {
        Ok(changes) => {
            log.set_level(app.config().log.level);
            info!(
                file = %path, sites = app.config().sites.len(),
                added = changes.added, removed = changes.removed, changed = changes.changed,
                "configuration reloaded"
            );
        }
        Err(reason) => error!(
            target: WHOLE,
            file = %path, error = %one_line(&reason),
            "configuration not reloaded; the previous one stays in effect"
        ),
    }
}

/// Returns an error with all of its causes in one line.
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

/// Returns the line that tells a supervisor, or a test, that all listeners accept.
fn ready_line(app: &App) -> String {
    let BoundListeners { http, https } = app.listeners();
    let addresses = |listeners: &[BoundListener]| {
        let addresses = listeners
            .iter()
            .map(|listener| listener.address.to_string());
        addresses.collect::<Vec<_>>().join(",")
    };
    format!(
        "ready http={} https={}\n",
        addresses(&http),
        addresses(&https)
    )
}

fn write_ready_line(line: &str) {
    if let Err(error) = std::io::stdout().lock().write_all(line.as_bytes()) {
        warn!(%error, "the ready line cannot be written to standard output");
    }
}
