//! The order of the checks, their bounds in time, and their results.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::check_context::{CheckContext, RunningProxy};
use super::subject::{Subject, subjects};
use super::{
    backend_checks, ca_checks, collector_check, configuration_check, machine_checks, name_checks,
};
use crate::admin::{CheckReport, CheckResult};
use crate::app::Error;
use crate::app::offline::certificate_files;
use crate::app::shared_state::SharedState;
use crate::certs::issuer::Issuer;
use crate::certs::preflight::{Preflight, TlsReach};
use crate::certs::{Resolver, Ruleset};
use crate::config::Config;
use crate::name::NameMap;
use crate::upstream::UpstreamContext;

/// Time limit for all checks together.
const LIMIT: Duration = Duration::from_secs(18);
/// Most names that are checked at once.
const AT_ONCE: usize = 16;

/// The parts that the checks are made from.
pub(in crate::app) struct DoctorParts<'a> {
    pub(in crate::app) config: Config,
    pub(in crate::app) rules: Ruleset,
    /// State in which the listeners look for challenges.
    pub(in crate::app) shared: &'a SharedState,
    pub(in crate::app) upstreams: UpstreamContext,
    /// The running proxy; `None` if the listeners answer only challenges.
    pub(in crate::app) running: Option<RunningProxy>,
    /// Findings about the listeners.
    pub(in crate::app) listeners: Vec<CheckResult>,
}

/// Checks what must hold.
#[derive(Debug)]
pub(in crate::app) struct Doctor {
    context: CheckContext,
    upstreams: UpstreamContext,
    listeners: Vec<CheckResult>,
}

impl Doctor {
    /// Sets up the checks. Sends nothing yet.
    pub(in crate::app) fn new(parts: DoctorParts<'_>) -> Result<Self, Error> {
        let DoctorParts {
            config,
            rules,
            shared,
            upstreams,
            running,
            listeners,
        } = parts;
        let resolver = Arc::new(Resolver::new(config.resolver.clone()));
        let preflight = Preflight::new(&config.preflight, resolver, Arc::clone(&shared.tokens));
        Ok(Self {
            context: CheckContext {
                preflight: preflight.map_err(Error::Preflight)?,
                tls: TlsReach::new(&config.preflight, Arc::clone(&shared.challenges)),
                records: shared.certificate_records(),
                config,
                rules,
                running,
            },
            upstreams,
            listeners,
        })
    }

    /// Checks this machine, the CAs, and `names`, or all configured names if there are none. Takes no longer than 20 seconds.
    pub(in crate::app) async fn run(&self, names: &[String]) -> CheckReport {
        let deadline = Instant::now() + LIMIT;
        let subjects = subjects(&self.context.config, names);
        let issuers = self.issuers(subjects.iter().flatten());
        let cas = async {
            let asked = timeout_at(deadline, ca_checks::contact(&issuers)).await;
            asked.unwrap_or_else(|_| {
                let sentence = "a CA does not answer in time; see whether this machine reaches it, and whether DNS works";
                vec![CheckResult::fail("ca", sentence)]
            })
        };
        let files = certificate_files(&self.context.config);
        let (configuration, machine, cas, collector, names) = tokio::join!(
            self.configuration(deadline).boxed(),
            self.machine(deadline).boxed(),
            cas.boxed(),
            self.collector(deadline).boxed(),
            self.names(subjects, &files, deadline).boxed()
        );
        CheckReport {
            checks: [configuration, machine, cas, collector, names].concat(),
        }
    }

    /// Compares the running proxy with its Proxyfile.
    async fn configuration(&self, deadline: Instant) -> Vec<CheckResult> {
        let running = self.context.running.as_ref();
        let Some(file) = running.and_then(|running| running.file.clone()) else {
            return Vec::new();
        };
        let config = self.context.config.clone();
        let comparing = spawn_blocking(move || configuration_check::compare(&config, &file));
        let compared = timeout_at(deadline, comparing).await;
        compared.ok().and_then(Result::ok).unwrap_or_else(|| {
            let sentence = "reading the Proxyfile takes too long; check the disk that it is on";
            vec![CheckResult::warn("configuration", sentence)]
        })
    }

    async fn machine(&self, deadline: Instant) -> Vec<CheckResult> {
        let directory = self.context.config.storage.directory().to_owned();
        let shown = directory.display().to_string();
        let probing = spawn_blocking(move || machine_checks::storage(&directory));
        let storage = match timeout_at(deadline, probing).await {
            Ok(Ok(checks)) => checks,
            Ok(Err(_)) | Err(_) => {
                let sentence = format!("writing to {shown} takes too long; check its disk");
                vec![CheckResult::fail("storage", sentence)]
            }
        };
        let mut checks = storage;
        checks.extend(self.listeners.iter().cloned());
        checks.push(machine_checks::open_files());
        checks
    }

    /// Asks the collector of traces, if there is one.
    async fn collector(&self, deadline: Instant) -> Vec<CheckResult> {
        let Some(options) = &self.context.config.tracing else {
            return Vec::new();
        };
        let asked = timeout_at(deadline, collector_check::takes(options)).await;
        let result = asked.unwrap_or_else(|_| {
            let sentence = "the collector does not answer in time; see whether this machine reaches it, and whether DNS works";
            CheckResult::warn(collector_check::CHECK, sentence)
        });
        vec![result]
    }

    /// Returns the issuers of the names, each once.
    fn issuers<'a>(&self, subjects: impl Iterator<Item = &'a Subject<'a>>) -> Vec<Arc<dyn Issuer>> {
        let mut issuers: Vec<Arc<dyn Issuer>> = Vec::new();
        for subject in subjects {
            for issuer in name_checks::issuers(&self.context, subject) {
                if !issuers.iter().any(|known| known.name() == issuer.name()) {
                    issuers.push(Arc::clone(issuer));
                }
            }
        }
        issuers
    }

    /// Checks some names at once. Those that are not reached before the deadline are counted.
    async fn names(
        &self,
        subjects: Vec<Result<Subject<'_>, CheckResult>>,
        files: &NameMap<PathBuf>,
        deadline: Instant,
    ) -> Vec<CheckResult> {
        let count = subjects.len();
        let checks = subjects.into_iter().map(|subject| {
            let check = async move {
                match subject {
                    Ok(_) if Instant::now() >= deadline => None,
                    Ok(subject) => Some(self.name(&subject, files, deadline).await),
                    Err(result) => Some(vec![result]),
                }
            };
            check.boxed()
        });
        let checks: Vec<_> = checks.collect();
        let checked = futures_util::stream::iter(checks).buffered(AT_ONCE);
        let checked: Vec<_> = checked.collect().await;
        let mut checks: Vec<_> = checked.into_iter().flatten().collect();
        let left = count - checks.len();
        if left > 0 {
            let which = match left {
                1 => "1 name was".to_owned(),
                left => format!("{left} names were"),
            };
            let sentence = format!(
                "{which} not checked, because the checks of the others took {} seconds; name those to check, as in `proxy doctor www.example.org`",
                LIMIT.as_secs()
            );
            checks.push(vec![CheckResult::warn("names", sentence)]);
        }
        checks.concat()
    }

    async fn name(
        &self,
        subject: &Subject<'_>,
        files: &NameMap<PathBuf>,
        deadline: Instant,
    ) -> Vec<CheckResult> {
        let slow = |check: &str| {
            let sentence = "the check took too long; see whether DNS is slow, or whether something between here and there drops packets";
            vec![CheckResult::warn(check, sentence)]
        };
        let backends = async {
            if subject.has_backends {
                backend_checks::answers(subject.site, &self.upstreams).await
            } else {
                Vec::new()
            }
        };
        let (reach, standing, backends) = tokio::join!(
            timeout_at(deadline, name_checks::reach(&self.context, subject)).boxed(),
            timeout_at(
                deadline,
                name_checks::standing(&self.context, files, subject)
            )
            .boxed(),
            timeout_at(deadline, backends).boxed()
        );
        let results = [
            reach.unwrap_or_else(|_| slow("dns")),
            standing.unwrap_or_else(|_| slow("certificate")),
            backends.unwrap_or_else(|_| slow("backend")),
        ];
        let results = results.concat().into_iter();
        results.map(|result| result.about(&subject.name)).collect()
    }
}
