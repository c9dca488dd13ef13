//! The process around a running proxy: its runtime, the ready line, and what each signal and each command does.

use std::collections::VecDeque;
use std::io::Write;
use std::mem;
use std::pin::pin;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use super::error::with_causes;
use super::listeners::{BoundListener, BoundListeners};
use super::logging::{self, Log, WHOLE};
use super::signals::Signals;
use super::{App, Error};
use crate::admin::{self, ProcessCommand, Reloaded, Stopped};
use crate::config::{Config, ConfigChanges, ConfigFile};

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
    let signals = Signals::handle().map_err(Error::Runtime)?;
    let mut app = App::start(config).await?;
    let ready_line = ready_line(&app);
    // Not here: a standard output that nobody reads would block this thread.
    spawn_blocking(move || write_ready_line(&ready_line));
    let mut requests = Requests {
        commands: app.take_commands(),
        signals,
        reloads: VecDeque::new(),
        examinations: Vec::new(),
        must_reopen: false,
    };
    let (name, asker) = match until_stopped(&mut app, file, log, &mut requests).await {
        StopRequest::Signal(name) => (name, None),
        StopRequest::Command(asker) => ("proxy stop", Some(asker)),
    };
    let Requests {
        mut signals,
        commands,
        ..
    } = requests;
    // Commands that come now are told that the proxy stops.
    drop(commands);
    info!(by = name, "draining");
    tokio::select! {
        cut = app.stop(asker) => match cut {
            0 => info!("stopped"),
            cut => warn!(cut, "stopped: some connections were cut at the end of the drain"),
        },
        name = signals.stop.next() => warn!(by = name, "stopped at once"),
    }
    Ok(())
}

/// Who has asked for the end.
enum StopRequest {
    /// The name of a signal.
    Signal(&'static str),
    /// `proxy stop`, which waits to be told.
    Command(oneshot::Sender<Stopped>),
}

/// Who has asked for a reload: a command, which waits to be told, or a signal.
type ReloadAsker = Option<oneshot::Sender<Result<Reloaded, admin::Error>>>;

/// Signals and commands.
struct Requests {
    signals: Signals,
    commands: mpsc::Receiver<ProcessCommand>,
    /// Reloads that wait for the one before them.
    reloads: VecDeque<ReloadAsker>,
    /// Checks and rehearsals that wait to begin.
    examinations: Vec<ProcessCommand>,
    /// `true` if the file of the access log was moved.
    must_reopen: bool,
}

impl Requests {
    /// Waits for the next request, and returns it if it asks for the end. Others are kept. Cancel safe.
    async fn next(&mut self) -> Option<StopRequest> {
        tokio::select! {
            name = self.signals.stop.next() => return Some(StopRequest::Signal(name)),
            _ = self.signals.reopen.recv() => self.must_reopen = true,
            _ = self.signals.reload.recv() => self.reloads.push_back(None),
            Some(command) = self.commands.recv() => match command {
                // Who has given up must not have it done later.
                ProcessCommand::Reload(asker) if asker.is_closed() => {}
                ProcessCommand::Stop(asker) if asker.is_closed() => {}
                command @ (ProcessCommand::Check(..) | ProcessCommand::Rehearse(..)) => {
                    self.examinations.push(command);
                }
                ProcessCommand::Reload(asker) => self.reloads.push_back(Some(asker)),
                ProcessCommand::Stop(asker) => return Some(StopRequest::Command(asker)),
            },
        }
        None
    }
}

/// Handles signals and commands until one of them asks for the end.
async fn until_stopped(
    app: &mut App,
    file: Option<&ConfigFile>,
    log: &Log,
    requests: &mut Requests,
) -> StopRequest {
    loop {
        if mem::take(&mut requests.must_reopen) {
            app.reopen_access_log();
        }
        for command in mem::take(&mut requests.examinations) {
            match command {
                ProcessCommand::Check(names, asker) => app.check(names, asker),
                ProcessCommand::Rehearse(request, asker) => app.rehearse(request, asker),
                ProcessCommand::Reload(_) | ProcessCommand::Stop(_) => {}
            }
        }
        let Some(asker) = requests.reloads.pop_front() else {
            if let Some(stop) = requests.next().await {
                return stop;
            }
            continue;
        };
        let mut reloading = pin!(reload(app, file, log));
        let result = loop {
            tokio::select! {
                result = &mut reloading => break result,
                stop = requests.next() => if let Some(stop) = stop {
                    return stop;
                },
            }
        };
        if let Some(asker) = asker {
            let _ = asker.send(result);
        }
    }
}

/// Reloads the file, and logs the result.
async fn reload(
    app: &mut App,
    file: Option<&ConfigFile>,
    log: &Log,
) -> Result<Reloaded, admin::Error> {
    let Some(file) = file else {
        let reason = "nothing to reload: the configuration is from the command line";
        warn!("{reason}");
        return Err(admin::Error::NotReloaded {
            reasons: format!("{reason}; stop the proxy and start it with other flags"),
            is_invalid: false,
        });
    };
    let path = file.path().display();
    match app.reload(file).await {
        Ok(changes) => {
            log.set_level(app.config().log.level);
            info!(
                file = %path, sites = app.config().sites.len(),
                added = changes.added.len(), removed = changes.removed.len(), changed = changes.changed.len(),
                "configuration reloaded"
            );
            Ok(reloaded(
                path.to_string(),
                app.config().sites.len(),
                changes,
            ))
        }
        Err(error) => {
            let reasons = with_causes(&error);
            error!(
                target: WHOLE,
                file = %path, error = %reasons.replace('\n', "; "),
                "configuration not reloaded; the previous one stays in effect"
            );
            Err(admin::Error::NotReloaded {
                reasons,
                is_invalid: matches!(error, Error::Config(_)),
            })
        }
    }
}

/// Returns what `proxy reload` prints.
fn reloaded(file: String, sites: usize, changes: ConfigChanges) -> Reloaded {
    let sites_changed = changes.changed.into_iter().map(|site| {
        let keys = match site.keys.as_slice() {
            [] => "secrets, or settings of all sites".to_owned(),
            keys => keys.join(", "),
        };
        format!("{}: {keys}", site.name)
    });
    let settings = changes.settings.into_iter().map(|setting| {
        let value = |value: Option<String>| value.unwrap_or_else(|| "not set".to_owned());
        match setting.values.map(|values| values.map(value)) {
            Some([before, after]) => format!("{}: {before} -> {after}", setting.key),
            None => setting.key,
        }
    });
    Reloaded {
        file,
        sites,
        added: changes.added,
        removed: changes.removed,
        changed: sites_changed.chain(settings).collect(),
    }
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
