//! Metrics of certificates.

use std::time::SystemTime;

use super::metric_value::{number, seconds};
use crate::admin::stats::Stats;
use crate::certs::{CertManager, IssuerBudget};
use crate::name::HostPattern;
use crate::prometheus::{Labels, Metric, Page};

/// Maximum number of names among the metrics.
const EXPORTED_NAMES: usize = 1000;

/// Numbers that are read from storage.
pub(super) struct CertificateMetrics {
    back_offs: Vec<(HostPattern, SystemTime)>,
    budgets: Vec<IssuerBudget>,
}

impl CertificateMetrics {
    /// Reads the numbers.
    pub(super) async fn collect(manager: &CertManager) -> Self {
        Self {
            back_offs: manager.back_offs(EXPORTED_NAMES).await,
            budgets: manager.budgets_left().await,
        }
    }

    /// Adds all metrics of certificates. Of names with a certificate, the [`EXPORTED_NAMES`] with the earliest end are among
    /// them.
    pub(super) fn add(self, stats: &Stats, page: &mut Page) {
        add_counts(stats, page);
        let ends = stats.manager.next_ends(EXPORTED_NAMES);
        page.gauges(
            Metric::new(
                "proxy_certificate_not_after_timestamp_seconds",
                "End of a certificate in seconds since 1970",
            ),
            ends.iter()
                .map(|end| (name(&end.name), seconds(end.not_after))),
        );
        let renewals = ends.iter().filter_map(|end| {
            let renew_at = end.renew_at?;
            Some((name(&end.name), seconds(renew_at)))
        });
        page.gauges(
            Metric::new(
                "proxy_certificate_renew_at_timestamp_seconds",
                "Time from which a certificate is renewed in seconds since 1970",
            ),
            renewals,
        );
        let back_offs = self.back_offs.iter();
        page.gauges(
            Metric::new(
                "proxy_certificate_backoff_until_timestamp_seconds",
                "Time of the next attempt for a name that has failed in seconds since 1970",
            ),
            back_offs.map(|(subject, until)| (name(subject), seconds(*until))),
        );
        let budgets = self.budgets.into_iter().map(|budget| {
            let which = ("budget", budget.left.budget.to_owned());
            let labels = vec![("issuer", budget.issuer), which];
            (labels, i64::from(budget.left.left))
        });
        page.gauges(
            Metric::new(
                "proxy_certificate_budget_left",
                "What may still be asked of a CA; for a budget of each domain or name, the least of them",
            ),
            budgets,
        );
    }
}

fn add_counts(stats: &Stats, page: &mut Page) {
    let certificates = stats.manager.stats();
    page.gauge(
        Metric::new("proxy_certificates", "Certificates in memory"),
        number(certificates.in_memory),
    );
    page.gauge(
        Metric::new(
            "proxy_names_without_certificate",
            "Configured names that get a certificate from an issuer and have none in memory",
        ),
        number(certificates.without),
    );
    page.gauge(
        Metric::new(
            "proxy_expired_certificates",
            "Certificates in memory that have expired",
        ),
        number(certificates.expired),
    );
    let attempts = stats.manager.attempts_by_result().into_iter();
    page.counts(
        Metric::new(
            "proxy_certificate_attempts",
            "Attempts to get a certificate since the start; `held` if a budget held the order back",
        ),
        attempts.map(|(result, count)| (vec![("result", result.word().to_owned())], count)),
    );
    let updates = stats.dns_updates.counts().map(|(kind, count)| {
        let (action, result) = kind;
        let result = ("result", result.to_owned());
        (vec![("action", action.to_owned()), result], count)
    });
    page.counts(
        Metric::new(
            "proxy_dns_updates",
            "Records of challenges that were set or removed in DNS since the start",
        ),
        updates,
    );
}

fn name(name: &HostPattern) -> Labels {
    vec![("name", name.to_string())]
}
