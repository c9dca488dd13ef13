//! Remainders of the budgets at a CA, for metrics.

use std::time::SystemTime;

use super::budgets::Budgets;
use super::limits::{Limit, Limits};
use super::rate_limiter::RateLimiter;
use super::scope::Scope;
use crate::storage::{self, Key, PageRequest};

/// Limits how many domains or names are looked at.
const MOST: usize = 1000;

/// Remainder of one budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLeft {
    /// The budget: `orders`, `certificates` or `failed-authorizations`.
    pub budget: &'static str,
    /// Remainder: of the domain or name that has the least, if each has a budget of its own.
    pub left: u32,
}

/// An account at a CA.
#[derive(Clone, Copy, Debug)]
pub struct BudgetOwner<'a> {
    /// Id of the CA.
    pub issuer: &'a str,
    /// Name of the account.
    pub account: &'a str,
    /// Limits at the CA.
    pub limits: Limits,
}

impl Budgets {
    /// Returns what is left of each budget that has a limit.
    pub async fn left(
        &self,
        owner: BudgetOwner<'_>,
        now: SystemTime,
    ) -> Result<Vec<BudgetLeft>, storage::Error> {
        let BudgetOwner {
            issuer,
            account,
            limits,
        } = owner;
        let limiter = self.limiter();
        let mut budgets = Vec::new();
        if let Some(limit) = limits.orders {
            let mut window = limiter.stored(&Scope::Account, issuer, account).await?;
            window.tidy(Some(limit), now);
            budgets.push(BudgetLeft {
                budget: "orders",
                left: window.left(limit),
            });
        }
        for (budget, folder, limit) in [
            ("certificates", "domains", limits.certificates),
            (
                "failed-authorizations",
                "names",
                limits.failed_authorizations,
            ),
        ] {
            if let Some(limit) = limit {
                let folder = Key::new(&["budgets", issuer, folder]);
                let left = least_left(limiter, &folder, limit, now).await?;
                budgets.push(BudgetLeft { budget, left });
            }
        }
        Ok(budgets)
    }
}

/// Returns what is left to the one in `folder` that has the least.
async fn least_left(
    limiter: &RateLimiter,
    folder: &Key,
    limit: Limit,
    now: SystemTime,
) -> Result<u32, storage::Error> {
    let request = PageRequest {
        folder,
        ending: "",
        after: None,
        limit: MOST,
    };
    let mut least = limit.count;
    for segment in limiter.storage().page(request).await? {
        let window = limiter.read(&folder.below(&segment)).await?;
        let mut window = window.unwrap_or_default();
        window.tidy(Some(limit), now);
        least = least.min(window.left(limit));
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::chargeable_order::{ChargeableOrder, OrderKind};
    use super::*;
    use crate::name::HostPattern;
    use crate::storage::FileStorage;

    #[tokio::test]
    async fn what_is_left_is_the_limit_less_what_was_charged() {
        let dir = tempfile::tempdir().unwrap();
        let budgets = Budgets::new(Arc::new(FileStorage::open(dir.path()).unwrap()));
        let owner = BudgetOwner {
            issuer: "ca",
            account: "a@b.org",
            limits: Limits::PUBLIC,
        };
        let now = SystemTime::now();
        let left = async || {
            let left = budgets.left(owner, now).await.unwrap();
            left.into_iter().map(|it| it.left).collect::<Vec<_>>()
        };
        assert_eq!(left().await, [250, 40, 4]);
        for name in ["a.example.org", "b.example.org", "a.example.net"] {
            let order = ChargeableOrder {
                issuer: owner.issuer,
                account: owner.account,
                limits: owner.limits,
                subject: &HostPattern::parse(name).unwrap(),
                kind: OrderKind::First,
            };
            // Without a report of its end, an attempt counts as failed.
            drop(budgets.charge_order(order, now).await.unwrap());
        }
        assert_eq!(left().await, [247, 38, 3]);
    }
}
