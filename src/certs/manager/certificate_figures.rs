//! Figures of certificates for metrics: attempts, back-offs and budgets.

use std::sync::Arc;
use std::time::SystemTime;

use tracing::debug;

use super::cert_manager::CertManager;
use crate::certs::budget::{BudgetLeft, BudgetOwner, Budgets};
use crate::certs::issuance::AttemptResult;
use crate::certs::issuer::Issuer;
use crate::name::HostPattern;

/// Remainder of a budget at an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerBudget {
    /// Configured name of the issuer.
    pub issuer: String,
    /// Remainder.
    pub left: BudgetLeft,
}

impl CertManager {
    /// Returns the number of attempts since the start with each result.
    #[must_use]
    pub fn attempts_by_result(&self) -> impl IntoIterator<Item = (AttemptResult, u64)> + use<> {
        self.obtainer().failures().attempt_counts().by_result()
    }

    /// Returns up to `limit` configured names that have failed, with the time of their next attempt.
    pub async fn back_offs(&self, limit: usize) -> Vec<(HostPattern, SystemTime)> {
        let names = self.records().names_with_attempts(limit).await;
        let names = names.unwrap_or_else(|error| {
            debug!(%error, "failed attempts cannot be listed");
            Vec::new()
        });
        let mut back_offs = Vec::new();
        for name in names.into_iter().filter(|name| self.is_configured(name)) {
            let attempts = self.obtainer().failures().attempts(&name).await;
            if let Some(attempts) = attempts.filter(|attempts| attempts.counted_failures() > 0) {
                back_offs.push((name, attempts.not_before()));
            }
        }
        back_offs
    }

    /// Returns what is left of the budgets at the CAs.
    pub async fn budgets_left(&self) -> Vec<IssuerBudget> {
        let budgets = Budgets::new(Arc::clone(self.records().storage()));
        let now = self.clock().now();
        let mut all: Vec<IssuerBudget> = Vec::new();
        for issuer in &self.issuers().public {
            let owner = BudgetOwner {
                issuer: issuer.id(),
                account: issuer.account(),
                limits: issuer.limits(),
            };
            match budgets.left(owner, now).await {
                Ok(left) => all.extend(left.into_iter().map(|left| named(issuer.as_ref(), left))),
                Err(error) => debug!(issuer = issuer.name(), %error, "budgets cannot be read"),
            }
        }
        // Two accounts at one CA may have the same name.
        all.dedup_by(|later, first| {
            let is_same = later.issuer == first.issuer && later.left.budget == first.left.budget;
            if is_same {
                first.left.left = first.left.left.min(later.left.left);
            }
            is_same
        });
        all
    }
}

fn named(issuer: &dyn Issuer, left: BudgetLeft) -> IssuerBudget {
    IssuerBudget {
        issuer: issuer.name().to_owned(),
        left,
    }
}
