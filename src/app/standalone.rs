//! Checks and rehearsals without a running proxy. Listens on the configured addresses for their time, so that challenges are answered.

use std::path::Path;
use std::sync::Arc;

use super::certificates::IssuanceSetup;
use super::doctor::{Doctor, DoctorParts};
use super::process::open_file_limit;
use super::rehearsal::Rehearsal;
use super::shared_state::SharedState;
use super::workers::Workers;
use super::{App, Error};
use crate::admin::{CheckReport, CheckResult, RehearsalRequest};
use crate::config::Config;
use crate::server::{Listener, ListenerOptions};
use crate::storage::{FileStorage, MemoryStorage, Storage};

/// Checks what must hold for `names`, or for all configured ones if there are none. Changes nothing in the data directory.
pub async fn check_standalone(config: &Config, names: &[String]) -> Result<CheckReport, Error> {
    let (listening, listeners) = bindable(config);
    let max_connections = open_file_limit::raise(Workers::count());
    // The one that listens must not take care of stored certificates.
    let nothing: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let temporary = SharedState::with_storage(nothing, config, max_connections);
    let app = App::start_for_challenges(temporary.clone(), &listening).await?;
    let shared = SharedState {
        storage: stored(config.storage.directory())
            .unwrap_or_else(|| Arc::clone(&temporary.storage)),
        ..temporary
    };
    let issuance = IssuanceSetup::build(config, &shared, None);
    let doctor = issuance.and_then(|issuance| {
        Doctor::new(DoctorParts {
            config: config.clone(),
            rules: issuance.rules(),
            upstreams: shared.context.clone(),
            shared: &shared,
            running: None,
            listeners,
        })
    });
    let report = match doctor {
        Ok(doctor) => Ok(doctor.run(names).await),
        Err(error) => Err(error),
    };
    app.stop(None).await;
    report
}

/// Orders certificates at staging CAs, and throws them away. Neither reads nor changes the data directory.
pub async fn rehearse_standalone(
    config: &Config,
    request: RehearsalRequest,
) -> Result<CheckReport, Error> {
    let max_connections = open_file_limit::raise(Workers::count());
    let nothing: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let temporary = SharedState::with_storage(nothing, config, max_connections);
    let rehearsal = Rehearsal::new(config, request, &temporary)?;
    let app = App::start_for_challenges(temporary, config).await?;
    let report = rehearsal.run().await;
    app.stop(None).await;
    Ok(report)
}

/// Opens the data directory if it exists.
fn stored(directory: &Path) -> Option<Arc<dyn Storage>> {
    if !directory.exists() {
        return None;
    }
    let storage = FileStorage::open(directory).ok()?;
    Some(Arc::new(storage))
}

/// Returns the configuration with those listeners that can be bound, and a result for each listener.
fn bindable(config: &Config) -> (Config, Vec<CheckResult>) {
    let mut config = config.clone();
    let mut results = Vec::new();
    let mut is_free = |listener: &ListenerOptions| {
        let address = listener.address;
        let bound = Listener::bind(address, 1);
        results.push(match &bound {
            Ok(_) => CheckResult::ok(
                "ports",
                format!("{address} is free; this command listens there for the checks"),
            ),
            Err(error) => CheckResult::fail("ports", error),
        });
        bound.is_ok()
    };
    config.listen.http.retain(&mut is_free);
    config.listen.https.retain(&mut is_free);
    (config, results)
}
