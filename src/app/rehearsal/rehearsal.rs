//! The rehearsal itself: which names are ordered, some at once, and their results.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::staging::{has_staging, not_ordered, staged};
use crate::admin::{CheckReport, CheckResult, RehearsalRequest};
use crate::app::Error;
use crate::app::certificates::IssuanceSetup;
use crate::app::doctor::{Subject, subjects};
use crate::app::shared_state::SharedState;
use crate::certs;
use crate::config::Config;
use crate::storage::MemoryStorage;

/// Time limit for all orders together, below that of a request to the admin socket.
const LIMIT: Duration = Duration::from_secs(840);
/// Most orders at once.
const AT_ONCE: usize = 4;
/// The word for the results.
const CHECK: &str = "order";

/// Orders at staging CAs.
pub(in crate::app) struct Rehearsal {
    config: Config,
    staged: Config,
    order: certs::Rehearsal,
    names: Vec<String>,
}

impl Rehearsal {
    /// Prepares orders for the names of `config`. The listeners answer the challenges of `shared`, whose storage is left alone:
    /// accounts, orders and certificates are kept in memory until the rehearsal ends.
    pub(in crate::app) fn new(
        config: &Config,
        request: RehearsalRequest,
        shared: &SharedState,
    ) -> Result<Self, Error> {
        let staged = staged(config, request.ca.as_ref());
        let staged = staged.map_err(|error| Error::Rehearsal(error.to_string()))?;
        let temporary = SharedState {
            storage: Arc::new(MemoryStorage::default()),
            ..shared.clone()
        };
        let issuance = IssuanceSetup::build(&staged, &temporary, None)?;
        Ok(Self {
            config: config.clone(),
            staged,
            order: certs::Rehearsal::new(issuance.rules()),
            names: request.names,
        })
    }

    /// Places the orders, and returns a result for each name.
    pub(in crate::app) async fn run(&self) -> CheckReport {
        let deadline = Instant::now() + LIMIT;
        let subjects = subjects(&self.config, &self.names);
        let orders = subjects.into_iter().map(|subject| {
            let order = async move {
                let subject = match subject {
                    Ok(subject) => subject,
                    Err(result) => return result,
                };
                let result = timeout_at(deadline, self.name(&subject)).await;
                let late = |_| {
                    CheckResult::warn(
                        CHECK,
                        "not rehearsed, because the others took too long; name it, as in `proxy rehearse www.example.org`",
                    )
                };
                result.unwrap_or_else(late).about(&subject.name)
            };
            order.boxed()
        });
        let orders: Vec<_> = orders.collect();
        CheckReport {
            checks: futures_util::stream::iter(orders)
                .buffered(AT_ONCE)
                .collect()
                .await,
        }
    }

    async fn name(&self, subject: &Subject<'_>) -> CheckResult {
        let (name, site) = (&subject.name, subject.site);
        let source = site.certificate_source_of(name, self.config.local_names());
        if let Some(sentence) = not_ordered(source) {
            return CheckResult::ok(CHECK, sentence);
        }
        if !has_staging(site, &self.staged) {
            return CheckResult::warn(
                CHECK,
                "not rehearsed: its CA has no known staging directory; give one with --acme-directory URL",
            );
        }
        let wanted = self.order.subject_of(name);
        if let Some(wildcard) = wanted.filter(|wanted| wanted != name) {
            let sentence = format!("uses the certificate of {wildcard}");
            return CheckResult::ok(CHECK, sentence);
        }
        match self.order.order(name).await {
            Ok(issuer) => {
                CheckResult::ok(CHECK, format!("works: {issuer} has signed a certificate"))
            }
            Err(reason) => CheckResult::fail(CHECK, reason),
        }
    }
}
