//! Looks for problems now and then, and tells the operator's receiver of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::open_problems::OpenProblems;
use super::problem::{Kind, Problem};
use super::receiver::Receiver;
use crate::certs::{CertManager, Endangered};
use crate::config::ProblemReceiver;
use crate::storage::{self, FileStorage};
use crate::tasks::Tasks;
use crate::upstream::Upstream;
use crate::web_client::WebClientError;

/// Time between two looks at upstreams.
const INTERVAL: Duration = Duration::from_secs(5);

/// Number of looks at upstreams between two looks at storage and certificates, which read files.
const SLOW_LOOK: usize = 12;

/// Number of names that a message shows.
const SHOWN: usize = 3;

/// The parts of the current configuration that are looked at.
#[derive(Debug, Default)]
pub(in crate::app) struct WatchedConfig {
    /// Receiver of the events. Without one, nothing is looked at.
    receiver: Option<Arc<Receiver>>,
    /// The upstreams.
    upstreams: Vec<WatchedUpstream>,
}

/// An upstream that is looked at.
#[derive(Debug)]
pub(in crate::app) struct WatchedUpstream {
    pub(in crate::app) upstream: Arc<Upstream>,
    pub(in crate::app) addresses: Vec<String>,
    /// The sites whose requests go to it.
    pub(in crate::app) sites: Vec<String>,
}

/// The watch over a running proxy.
#[derive(Debug)]
pub(in crate::app) struct ProblemWatch {
    config: watch::Sender<Arc<WatchedConfig>>,
}

/// Search for problems, with the parts that no configuration changes.
struct Looker {
    config: watch::Receiver<Arc<WatchedConfig>>,
    manager: CertManager,
    directory: PathBuf,
    /// The data directory, once it was looked at.
    storage: Option<FileStorage>,
    tasks: Tasks,
}

impl ProblemWatch {
    /// Starts to look, in one of `tasks`. Blocks while it opens the data directory, if there is a receiver.
    pub(in crate::app) fn start(
        config: WatchedConfig,
        manager: CertManager,
        directory: &Path,
        tasks: &Tasks,
    ) -> Self {
        let storage = config.receiver.as_ref();
        let storage = storage.and_then(|_| FileStorage::open(directory).ok());
        let (config, watched) = watch::channel(Arc::new(config));
        let looker = Looker {
            config: watched,
            manager,
            directory: directory.to_owned(),
            storage,
            tasks: tasks.clone(),
        };
        let shutdown = tasks.shutdown();
        tasks.spawn(async move {
            tokio::select! {
                () = shutdown.requested() => (),
                () = looker.run() => (),
            }
        });
        Self { config }
    }

    /// Looks at another configuration from now on, and at once.
    pub(in crate::app) fn replace(&self, config: WatchedConfig) {
        self.config.send_replace(Arc::new(config));
    }
}

impl Looker {
    async fn run(mut self) {
        let mut open = OpenProblems::default();
        let mut look = 0_usize;
        loop {
            let replaced = if self.config.borrow().receiver.is_some() {
                timeout(INTERVAL, self.config.changed()).await
            } else {
                open = OpenProblems::default();
                Ok(self.config.changed().await)
            };
            match replaced {
                Ok(Ok(())) => look = 0,
                // The watch is gone, and nothing is replaced any more.
                Ok(Err(_)) => return,
                Err(_) => (),
            }
            let config = Arc::clone(&self.config.borrow_and_update());
            let Some(receiver) = &config.receiver else {
                continue;
            };
            let mut found = config.upstreams_down();
            let kinds: &[Kind] = if look.is_multiple_of(SLOW_LOOK) {
                found.extend(self.storage_problem().await);
                found.extend(self.certificates().await);
                &[Kind::Upstream, Kind::Storage, Kind::Certificate]
            } else {
                &[Kind::Upstream]
            };
            look += 1;
            let now = (Instant::now(), SystemTime::now());
            for event in open.update(kinds, found, now) {
                let receiver = Arc::clone(receiver);
                self.tasks.spawn(async move { receiver.tell(&event).await });
            }
        }
    }

    async fn storage_problem(&mut self) -> Option<Problem> {
        let (known, directory) = (self.storage.take(), self.directory.clone());
        // The same handle each time: a directory that was removed is not made anew.
        let probe = move || {
            let storage = match known {
                Some(storage) => storage,
                None => FileStorage::open(&directory)?,
            };
            Ok((storage.probe(), storage))
        };
        let (probed, storage) = match spawn_blocking(probe).await.ok()? {
            Ok((probed, storage)) => (probed, Some(storage)),
            Err(error) => (Err(error), None),
        };
        self.storage = storage;
        let error: storage::Error = probed.err()?;
        Some(Problem {
            kind: Kind::Storage,
            cause: String::new(),
            subject: self.directory.display().to_string(),
            sentence: error.to_string(),
        })
    }

    async fn certificates(&self) -> Vec<Problem> {
        let mut causes: BTreeMap<String, Vec<Endangered>> = BTreeMap::new();
        for endangered in self.manager.endangered().await {
            let cause = causes.entry(endangered.cause.clone());
            cause.or_default().push(endangered);
        }
        let problems = causes.into_iter().filter_map(|(cause, names)| {
            let first = names.first()?;
            let end = humantime::format_rfc3339_seconds(first.not_after);
            let sentence = format!(
                "the certificate expires at {end} and cannot be renewed: {}",
                first.last_error
            );
            let names: Vec<_> = names.iter().map(|it| it.name.to_string()).collect();
            Some(Problem {
                kind: Kind::Certificate,
                cause,
                subject: shown(&names),
                sentence,
            })
        });
        problems.collect()
    }
}

impl WatchedConfig {
    /// Creates the client of the receiver, if there is one.
    pub(in crate::app) fn new(
        receiver: Option<&ProblemReceiver>,
        upstreams: Vec<WatchedUpstream>,
    ) -> Result<Self, WebClientError> {
        let receiver = receiver.map(Receiver::new).transpose()?;
        Ok(Self {
            receiver: receiver.map(Arc::new),
            upstreams,
        })
    }

    fn upstreams_down(&self) -> Vec<Problem> {
        let down = self.upstreams.iter().filter(|it| it.upstream.is_out());
        let down = down.map(|WatchedUpstream { addresses, sites, .. }| {
            let subject = shown(addresses);
            Problem {
                kind: Kind::Upstream,
                cause: format!("{} for {}", addresses.join(" "), sites.join(" ")),
                sentence: format!(
                    "no backend of {} works; start {subject}, or see the log for what it answers",
                    shown(sites)
                ),
                subject,
            }
        });
        down.collect()
    }
}

/// Lists the first names, and the number of the others.
fn shown(names: &[String]) -> String {
    let list = names.iter().take(SHOWN).map(String::as_str);
    let list = list.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => list,
        others => format!("{list} and {others} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_names_are_shown_and_the_others_counted() {
        let names: Vec<_> = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        assert_eq!(shown(&names[..1]), "a");
        assert_eq!(shown(&names[..3]), "a, b, c");
        assert_eq!(shown(&names), "a, b, c and 2 more");
    }
}
