//! The process around a running proxy: its runtime, the ready line, and what each signal and each command does.

use std::collections::VecDeque;
use std::io::Write;
use std::mem;
use std::path::{Path, PathBuf};
use std::pin::pin;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use super::listeners::{BoundListener, BoundListeners};
use super::process::file_watch::FileWatch;
use super::process::logging::{self, Log, WHOLE};
use super::process::signals::Signals;
use super::process::{privileges, service_manager};
use super::shutdown::End;
use super::upgrade::{Inherited, Predecessor, Successor, own_binary};
use super::{App, Error};
use crate::admin::{self, ProcessCommand, Reloaded, Upgraded};
use crate::config::{Config, ConfigChanges, ConfigFile};
use crate::printable::with_causes;

/// Runs the proxy until the process is told to stop, or another one replaces it, and has drained. SIGHUP reloads the file, if
/// there is one. Uses the `inherited` sockets. Blocks.
pub fn run(config: &Config, file: Option<&ConfigFile>, inherited: Inherited) -> Result<(), Error> {
    let log = logging::start(&config.log).map_err(Error::Runtime)?;
    // For certificates, the admin socket and metrics. Requests have runtimes of their own, which this one never delays.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    privileges::disable_core_dumps();
    let process = Process {
        file,
        log: &log,
        binary: own_binary().map_err(Error::Runtime)?,
    };
    let predecessor = inherited.predecessor();
    let outcome = runtime.block_on(serve(config, &process, inherited));
    let outcome = outcome.map_err(|error| {
        // A waiting predecessor logs the error. People are told it in plain words.
        if predecessor.waits() || !log.is_for_programs() {
            return error;
        }
        let reasons = with_causes(&error).replace('\n', "; ");
        error!(target: WHOLE, error = %reasons, "the proxy does not run");
        Error::Logged
    });
    // Does not wait for blocking tasks, such as a slow name resolution.
    runtime.shutdown_background();
    log.finish();
    outcome
}

/// Parts of the process beside the proxy that runs in it.
struct Process<'a> {
    file: Option<&'a ConfigFile>,
    log: &'a Log,
    /// The file of the binary, from which a successor is started.
    binary: PathBuf,
}

impl Process<'_> {
    /// Returns the files whose change is a reload.
    async fn watched_files(&self, config: &Config) -> Vec<PathBuf> {
        let Some(file) = self.file.filter(|_| config.watch) else {
            return Vec::new();
        };
        let mut files = config.read_files();
        files.push(file.path().to_owned());
        // A Proxyfile that could not take effect may lack one of those that it names.
        let file = file.clone();
        let named = spawn_blocking(move || file.named_files()).await;
        files.extend(named.unwrap_or_default());
        files.sort();
        files.dedup();
        files
    }
}

async fn serve(config: &Config, process: &Process<'_>, inherited: Inherited) -> Result<(), Error> {
    // Before the start: until they are handled, the signals end the process.
    let signals = Signals::handle().map_err(Error::Runtime)?;
    let predecessor = inherited.predecessor();
    // Before the start, too: a change during it must be noticed.
    let watch = FileWatch::new(process.watched_files(config).await).await;
    let mut app = App::start(config, inherited).await?;
    app.start_watchdog();
    tell_ready(&app, &predecessor).await;
    let mut requests = Requests {
        commands: app.take_commands(),
        signals,
        watch,
        jobs: VecDeque::new(),
        examinations: Vec::new(),
        must_reopen: false,
    };
    let end = until_end(&mut app, process, &mut requests).await;
    let Requests {
        mut signals,
        commands,
        ..
    } = requests;
    // Commands that come now are told that the proxy stops.
    drop(commands);
    // First, so that no connection that the line covers is kept open for another request.
    app.begin_drain(&end);
    info!(by = end.cause(), "draining");
    let drained = async {
        match end {
            End::Signal(_) => app.stop(None).await,
            End::Command(asker) => app.stop(Some(asker)).await,
            End::Upgraded => app.leave().await,
        }
    };
    tokio::select! {
        cut = drained => match cut {
            0 => info!("stopped"),
            cut => warn!(cut, "stopped: some connections were cut at the end of the drain"),
        },
        name = signals.stop.next() => warn!(by = name, "stopped at once"),
    }
    Ok(())
}

/// Tells everybody who waits for it that all listeners accept.
async fn tell_ready(app: &App, predecessor: &Predecessor) {
    let ready_line = ready_line(app);
    if !logging::journal_reads(std::io::stdout()) {
        // Not here: a standard output that nobody reads would block this thread.
        spawn_blocking(move || write_ready_line(&ready_line));
    }
    if predecessor.waits() {
        // It tells the service manager, too, which does not believe this process yet.
        predecessor.tell_ready();
    } else {
        service_manager::tell_ready().await;
    }
}

/// Sender of the result of a command, which waits to be told. `None` if a signal has asked.
type Asker<T> = Option<oneshot::Sender<Result<T, admin::Error>>>;

/// A request that takes time. One is carried out after the other.
enum Job {
    Reload(Asker<Reloaded>),
    /// Start this binary, or that of the process, as the successor.
    Upgrade(Option<PathBuf>, Asker<Upgraded>),
}

/// Signals and commands.
struct Requests {
    signals: Signals,
    commands: mpsc::Receiver<ProcessCommand>,
    watch: FileWatch,
    /// Those that wait for the one before them.
    jobs: VecDeque<Job>,
    /// Checks and rehearsals that wait to begin.
    examinations: Vec<ProcessCommand>,
    /// `true` if the file of the access log was moved.
    must_reopen: bool,
}

impl Requests {
    /// Waits for the next request, and returns it if it asks for the end. Others are kept. Cancel safe.
    async fn next(&mut self) -> Option<End> {
        tokio::select! {
            name = self.signals.stop.next() => return Some(End::Signal(name)),
            _ = self.signals.reopen.recv() => self.must_reopen = true,
            _ = self.signals.reload.recv() => self.jobs.push_back(Job::Reload(None)),
            () = self.watch.changed(), if !self.watch.is_idle() => {
                info!("the Proxyfile, or a file that it names, has changed");
                self.jobs.push_back(Job::Reload(None));
            }
            _ = self.signals.upgrade.recv() => self.jobs.push_back(Job::Upgrade(None, None)),
            Some(command) = self.commands.recv() => match command {
                // Who has given up must not have it done later.
                ProcessCommand::Reload(asker) if asker.is_closed() => {}
                ProcessCommand::Upgrade(_, asker) if asker.is_closed() => {}
                ProcessCommand::Stop(asker) if asker.is_closed() => {}
                command @ (ProcessCommand::Check(..) | ProcessCommand::Rehearse(..)) => {
                    self.examinations.push(command);
                }
                ProcessCommand::Reload(asker) => self.jobs.push_back(Job::Reload(Some(asker))),
                ProcessCommand::Upgrade(binary, asker) => {
                    self.jobs.push_back(Job::Upgrade(binary, Some(asker)));
                }
                ProcessCommand::Stop(asker) => return Some(End::Command(asker)),
            },
        }
        None
    }
}

/// Handles signals and commands until one of them ends the process.
async fn until_end(app: &mut App, process: &Process<'_>, requests: &mut Requests) -> End {
    loop {
        if mem::take(&mut requests.must_reopen) {
            app.reopen_access_log();
        }
        for command in mem::take(&mut requests.examinations) {
            match command {
                ProcessCommand::Check(names, asker) => app.check(names, process.file, asker),
                ProcessCommand::Rehearse(request, asker) => app.rehearse(request, asker),
                ProcessCommand::Reload(_)
                | ProcessCommand::Upgrade(..)
                | ProcessCommand::Stop(_) => {}
            }
        }
        let Some(job) = requests.jobs.pop_front() else {
            if let Some(end) = requests.next().await {
                return end;
            }
            continue;
        };
        if matches!(job, Job::Reload(_)) {
            requests.watch.note_read().await;
        }
        let end = {
            let mut working = pin!(carry_out(job, app, process));
            loop {
                tokio::select! {
                    end = &mut working => break end,
                    end = requests.next() => if end.is_some() {
                        break end;
                    },
                }
            }
        };
        if let Some(end) = end {
            return end;
        }
        let watched = process.watched_files(app.config()).await;
        requests.watch.follow(watched).await;
    }
}

/// Carries out a job, and tells who has asked. Returns the end if the process ends by it.
async fn carry_out(job: Job, app: &mut App, process: &Process<'_>) -> Option<End> {
    match job {
        Job::Reload(asker) => {
            service_manager::tell_reloading().await;
            let result = reload(app, process).await;
            service_manager::tell_ready().await;
            answer(asker, result);
            None
        }
        Job::Upgrade(binary, asker) => {
            let binary = binary.as_deref().unwrap_or(&process.binary);
            let result = upgrade(app, binary).await;
            let end = result.is_ok().then_some(End::Upgraded);
            answer(asker, result);
            end
        }
    }
}

fn answer<T>(asker: Asker<T>, result: Result<T, admin::Error>) {
    if let Some(asker) = asker {
        let _ = asker.send(result);
    }
}

/// Starts the process that replaces this one, and logs the result.
async fn upgrade(app: &App, binary: &Path) -> Result<Upgraded, admin::Error> {
    info!(binary = %binary.display(), "upgrading: starting another process");
    match app.start_successor(binary).await {
        Ok(successor) => {
            let version = successor.version.clone();
            let pid = Successor::release(successor);
            service_manager::tell_main_pid(pid).await;
            info!(pid, version, "upgraded: the other process serves");
            Ok(Upgraded {
                pid,
                version,
                former_pid: std::process::id(),
            })
        }
        Err(error) => {
            let reasons = error.to_string();
            error!(
                target: WHOLE,
                binary = %binary.display(), error = %reasons.replace('\n', "; "),
                "not upgraded; this process goes on"
            );
            Err(admin::Error::NotUpgraded(reasons))
        }
    }
}

/// Reloads the file, and logs the result.
async fn reload(app: &mut App, process: &Process<'_>) -> Result<Reloaded, admin::Error> {
    let Process { file, log, .. } = process;
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
    let certificates = changes.certificates.into_iter();
    let certificates = certificates.map(|file| format!("certificate in {}", file.display()));
    Reloaded {
        file,
        sites,
        added: changes.added,
        removed: changes.removed,
        changed: sites_changed.chain(settings).chain(certificates).collect(),
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
