//! The budgets at all CAs. Each order is charged in storage before it is placed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::attempt_charges::AttemptCharges;
use super::chargeable_order::{Charge, ChargeableOrder};
use super::hold_reason::{HoldReason, LimitError};
use super::limits::Limits;
use super::rate_limiter::{FAILURES, RateLimiter};
use crate::storage::{self, Storage};

/// Budgets for orders. Clones share their counts.
#[derive(Clone, Debug)]
pub struct Budgets(RateLimiter);

impl Budgets {
    /// Opens the budgets in `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self(RateLimiter::new(storage))
    }

    pub(super) fn limiter(&self) -> &RateLimiter {
        &self.0
    }

    /// Charges the first order of an attempt, or returns the reason that holds it back. Call
    /// [`AttemptCharges::settle`] at the end of the attempt.
    pub async fn charge_order(
        &self,
        counted_order: ChargeableOrder<'_>,
        now: SystemTime,
    ) -> Result<AttemptCharges, LimitError> {
        if counted_order.limits == Limits::NONE {
            return Ok(AttemptCharges::free());
        }
        self.0
            .charge_order(&counted_order, Charge::First, now)
            .await?;
        Ok(AttemptCharges::new(self.0.clone(), &counted_order, now))
    }

    /// Returns the reason that would hold back an order at `now`. Spends nothing.
    pub async fn find_held(
        &self,
        counted_order: ChargeableOrder<'_>,
        now: SystemTime,
    ) -> Result<Option<HoldReason>, storage::Error> {
        if counted_order.limits == Limits::NONE {
            return Ok(None);
        }
        self.0.find_held(&counted_order, now).await
    }

    /// Adds the counts of the account `old` to those of `new`: both are the same account, whose e-mail address has changed.
    pub(in crate::certs) async fn rename_account(
        &self,
        issuer: &str,
        old: &str,
        new: &str,
    ) -> Result<(), storage::Error> {
        self.0.rename_account(issuer, old, new).await
    }
}

/// Returns a random delay for a name that waits for a budget. If all waiting names tried at once, most would find the
/// budget spent again.
pub(in crate::certs) fn spread(held: &HoldReason) -> Duration {
    const LONGEST: Duration = Duration::from_secs(1800);
    let most = match held {
        HoldReason::Spent { what: FAILURES, .. } => Duration::ZERO,
        HoldReason::Spent { limit, .. } => limit.window / 12,
        HoldReason::Closed { .. } => Duration::from_secs(60),
    };
    most.min(LONGEST).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::super::chargeable_order::OrderKind;
    use super::super::chargeable_order::Usage;
    use super::*;
    use crate::acme::{self, Step};
    use crate::certs::clock::unix;
    use crate::certs::issuer::Error;
    use crate::name::HostPattern;
    use crate::storage::FileStorage;

    const HOUR: Duration = Duration::from_secs(3600);

    struct World {
        dir: tempfile::TempDir,
        now: SystemTime,
    }

    impl World {
        fn new() -> Self {
            Self {
                dir: tempfile::tempdir().unwrap(),
                now: SystemTime::UNIX_EPOCH + 1_000_000 * HOUR,
            }
        }

        /// Opens the budgets as a new process would.
        fn budgets(&self) -> Budgets {
            Budgets::new(Arc::new(FileStorage::open(self.dir.path()).unwrap()))
        }

        async fn charge_order(
            &self,
            subject: &str,
            limits: Limits,
        ) -> Result<AttemptCharges, HoldReason> {
            let subject = HostPattern::parse(subject).unwrap();
            self.charge(counted_order(&subject, limits)).await
        }

        async fn charge(
            &self,
            counted_order: ChargeableOrder<'_>,
        ) -> Result<AttemptCharges, HoldReason> {
            let charged = self.budgets().charge_order(counted_order, self.now).await;
            charged.map_err(|error| match error {
                LimitError::Held(held) => *held,
                LimitError::Storage(error) => panic!("{error}"),
            })
        }

        async fn fails(&self, subject: &str, failure: &Error) {
            let charges = self.charge_order(subject, Limits::PUBLIC).await.unwrap();
            charges.order(self.now).await.unwrap();
            charges.settle(failure.usage(self.now), self.now).await;
        }

        async fn succeeds(&self, subject: &str) -> Result<(), HoldReason> {
            let charges = self.charge_order(subject, Limits::PUBLIC).await?;
            charges.order(self.now).await.unwrap();
            charges.settle(Usage::SIGNED, self.now).await;
            Ok(())
        }
    }

    fn counted_order(subject: &HostPattern, limits: Limits) -> ChargeableOrder<'_> {
        ChargeableOrder {
            issuer: "ca",
            account: "ops",
            limits,
            subject,
            kind: OrderKind::First,
        }
    }

    fn unproved() -> Error {
        Error::Acme(acme::Error::Authorization {
            identifier: acme::Identifier::Dns("www.example.org".to_owned()),
            challenge: acme::ChallengeType::Http01,
            problem: None,
            alternatives: Vec::new(),
        })
    }

    fn answer(status: u16, wait: Duration) -> Error {
        let problem = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"busy"}"#;
        Error::Acme(acme::Error::Refused {
            step: Step::NewOrder,
            status: http::StatusCode::from_u16(status).unwrap(),
            problem: serde_json::from_str(problem).unwrap(),
            retry_after: Some(wait),
        })
    }

    #[tokio::test]
    async fn a_name_that_keeps_failing_fails_at_most_four_times_an_hour() {
        let mut world = World::new();
        let mut failed = Vec::new();
        for _ in 0..300 {
            let charges = world.charge_order("www.example.org", Limits::PRIVATE).await;
            if let Ok(charges) = charges {
                charges.order(world.now).await.unwrap();
                charges.settle(unproved().usage(world.now), world.now).await;
                failed.push(world.now);
            }
            world.now += Duration::from_secs(61);
        }
        assert!(failed.len() > 16, "{}", failed.len());
        let within = |five: &[SystemTime]| five[4].duration_since(five[0]).unwrap() >= HOUR;
        assert!(failed.windows(5).all(within));
    }

    #[tokio::test]
    async fn the_forty_first_certificate_of_a_domain_waits_with_a_time() {
        let mut world = World::new();
        for n in 0..40 {
            world.succeeds(&format!("n{n}.example.org")).await.unwrap();
        }
        world.now += HOUR;
        let held = world.succeeds("www.example.org").await.unwrap_err();
        let free = humantime::format_rfc3339_seconds(world.now - HOUR + 7 * 24 * HOUR);
        assert_eq!(
            held.to_string(),
            format!(
                "the budget of 40 new certificates in 7 days for example.org at ca is spent; \
                 the next one is free at {free}"
            )
        );
        world.succeeds("www.example.net").await.unwrap();
        world.now += 7 * 24 * HOUR;
        world.succeeds("www.example.org").await.unwrap();
    }

    #[tokio::test]
    async fn a_replacement_spends_neither_order_nor_certificate() {
        let world = World::new();
        for n in 0..300 {
            let subject = HostPattern::parse(&format!("n{}.example.org", n % 50)).unwrap();
            let counted_order = ChargeableOrder {
                kind: OrderKind::Replacement,
                ..counted_order(&subject, Limits::PUBLIC)
            };
            let charged = world.charge(counted_order).await;
            charged.unwrap().settle(Usage::SIGNED, world.now).await;
        }
        world.succeeds("www.example.org").await.unwrap();
    }

    #[tokio::test]
    async fn a_renewal_spends_an_order_and_no_certificate() {
        let world = World::new();
        for n in 0..249 {
            renew(&world, "ops", n).await.unwrap();
        }
        world.succeeds("www.example.org").await.unwrap();
        let held = renew(&world, "ops", 249).await.unwrap_err().to_string();
        assert!(held.contains("250 orders"), "{held}");
    }

    /// Renews one name with an account.
    async fn renew(world: &World, account: &str, n: usize) -> Result<(), HoldReason> {
        let subject = HostPattern::parse(&format!("n{n}.example.org")).unwrap();
        let counted_order = ChargeableOrder {
            account,
            kind: OrderKind::Renewal,
            ..counted_order(&subject, Limits::PUBLIC)
        };
        let charges = world.charge(counted_order).await?;
        charges.order(world.now).await.unwrap();
        charges.settle(Usage::SIGNED, world.now).await;
        Ok(())
    }

    #[tokio::test]
    async fn orders_count_by_account_and_certificates_by_domain() {
        let world = World::new();
        for n in 0..250 {
            renew(&world, "one", n).await.unwrap();
        }
        assert!(renew(&world, "one", 250).await.is_err());
        renew(&world, "other", 250).await.unwrap();

        for n in 0..40 {
            world.succeeds(&format!("n{n}.example.net")).await.unwrap();
        }
        let subject = HostPattern::parse("www.example.net").unwrap();
        let counted_order = ChargeableOrder {
            account: "other",
            ..counted_order(&subject, Limits::PUBLIC)
        };
        let charged = world.charge(counted_order).await;
        assert!(
            matches!(charged, Err(HoldReason::Spent { what, .. }) if what == "new certificates")
        );
    }

    #[tokio::test]
    async fn counts_of_an_older_version_apply_to_every_account() {
        let mut world = World::new();
        let spent = vec![unix(world.now); 249];
        let former = world.dir.path().join("budgets/ca/account.json");
        std::fs::create_dir_all(former.parent().unwrap()).unwrap();
        std::fs::write(&former, format!("{{\"spent\":{spent:?}}}")).unwrap();

        for account in ["one", "other"] {
            renew(&world, account, 0).await.unwrap();
            let held = renew(&world, account, 1).await.unwrap_err();
            assert!(held.to_string().contains("250 orders"), "{held}");
        }

        world.now += 3 * HOUR;
        renew(&world, "one", 2).await.unwrap();
    }

    #[tokio::test]
    async fn an_account_keeps_its_counts_under_a_new_address() {
        let world = World::new();
        for n in 0..249 {
            renew(&world, "old", n).await.unwrap();
        }
        renew(&world, "new", 250).await.unwrap();

        let renamed = world.budgets().rename_account("ca", "old", "new").await;
        renamed.unwrap();

        assert!(renew(&world, "new", 251).await.is_err());
        renew(&world, "old", 251).await.unwrap();
    }

    #[tokio::test]
    async fn unused_charges_are_refunded() {
        let world = World::new();
        for n in 0..60 {
            let name = format!("n{}.example.org", n % 3);
            world.fails(&name, &answer(500, HOUR)).await;
            world.fails(&name, &Error::NoSubject).await;
        }
        let subject = HostPattern::parse("n0.example.org").unwrap();
        let counted_order = counted_order(&subject, Limits::PUBLIC);
        let held = world.budgets().find_held(counted_order, world.now).await;
        assert_eq!(held.unwrap(), None);
        assert!(
            !world
                .dir
                .path()
                .join("budgets/ca/domains/example.org.json")
                .exists()
        );
        // Only the 60 orders that reached the CA count.
        let account = world.dir.path().join("budgets/ca/accounts/ops.json");
        let account = std::fs::read_to_string(account).unwrap();
        assert_eq!(account.matches(',').count(), 59, "{account}");
    }

    #[tokio::test]
    async fn a_resumed_order_is_not_charged_again() {
        let world = World::new();
        let charges = world
            .charge_order("www.example.org", Limits::PUBLIC)
            .await
            .unwrap();
        // No order is placed, as if the order of an earlier process was resumed.
        charges.settle(Usage::SIGNED, world.now).await;
        assert!(
            !world
                .dir
                .path()
                .join("budgets/ca/accounts/ops.json")
                .exists()
        );
        assert!(
            !world
                .dir
                .path()
                .join("budgets/ca/domains")
                .join("example.org.json")
                .exists()
        );
    }

    #[tokio::test]
    async fn charges_of_a_killed_process_stay_spent() {
        let world = World::new();
        for _ in 0..4 {
            drop(
                world
                    .charge_order("www.example.org", Limits::PUBLIC)
                    .await
                    .unwrap(),
            );
        }
        let held = world
            .charge_order("www.example.org", Limits::PUBLIC)
            .await
            .unwrap_err();
        assert!(
            held.to_string()
                .contains("4 failed authorizations in an hour"),
            "{held}"
        );
    }

    #[tokio::test]
    async fn one_answer_of_a_ca_pauses_all_names_for_at_most_a_day() {
        let world = World::new();
        world
            .fails("www.example.org", &answer(503, 24 * 30 * HOUR))
            .await;
        let held = world.succeeds("www.example.net").await.unwrap_err();
        assert_eq!(held.until(), world.now + 24 * HOUR);
    }

    #[tokio::test]
    async fn a_ca_that_asks_for_a_pause_gets_no_order_for_any_name() {
        for status in [429, 503] {
            let mut world = World::new();
            world.fails("www.example.org", &answer(status, HOUR)).await;
            let held = world.succeeds("www.example.net").await.unwrap_err();
            assert!(matches!(held, HoldReason::Closed { .. }), "{held}");
            assert_eq!(held.until(), world.now + HOUR);
            world.now += HOUR;
            world.succeeds("www.example.net").await.unwrap();
        }
    }

    #[tokio::test]
    async fn each_further_order_of_an_attempt_is_charged_before_it_is_placed() {
        let world = World::new();
        let charges = world
            .charge_order("www.example.org", Limits::PRIVATE)
            .await
            .unwrap();
        for _ in 0..4 {
            charges.order(world.now).await.unwrap();
            charges.spend_failed_authorization(1);
        }
        let refused = charges.order(world.now).await;
        assert!(matches!(refused, Err(LimitError::Held(_))), "{refused:?}");
        charges.settle(Usage::SIGNED, world.now).await;
    }

    #[tokio::test]
    async fn an_order_that_is_placed_again_without_its_predecessor_is_charged_as_a_renewal() {
        let world = World::new();
        for n in 0..249 {
            renew(&world, "ops", n).await.unwrap();
        }
        let subject = HostPattern::parse("www.example.org").unwrap();
        let counted_order = ChargeableOrder {
            kind: OrderKind::Replacement,
            ..counted_order(&subject, Limits::PUBLIC)
        };
        for is_free in [true, false] {
            let charges = world.charge(counted_order).await.unwrap();
            charges.order(world.now).await.unwrap();
            let again = charges.order_without_predecessor(world.now).await;
            assert_eq!(again.is_ok(), is_free, "{again:?}");
            // The refused order has reached the CA, so it counts in either case.
            charges
                .settle(Error::NoSubject.usage(world.now), world.now)
                .await;
        }
        // The possible failure was charged once and refunded.
        let names = world.dir.path().join("budgets/ca/names");
        assert!(!names.join("www.example.org.json").exists());
    }

    #[tokio::test]
    async fn later_charges_of_an_attempt_have_their_own_time() {
        let world = World::new();
        let charges = world
            .charge_order("www.example.org", Limits::PUBLIC)
            .await
            .unwrap();
        let later = world.now + HOUR;
        for now in [world.now, later] {
            charges.order(now).await.unwrap();
        }
        let orders = world.dir.path().join("budgets/ca/accounts/ops.json");
        let orders = std::fs::read_to_string(orders).unwrap();
        let expected = format!("[{},{}]", unix(world.now), unix(later));
        assert!(orders.contains(&expected), "{orders}");
    }

    #[tokio::test]
    async fn a_damaged_ledger_is_replaced() {
        let world = World::new();
        let window = world
            .dir
            .path()
            .join("budgets/ca/names/www.example.org.json");
        std::fs::create_dir_all(window.parent().unwrap()).unwrap();
        std::fs::write(&window, "half a").unwrap();
        drop(
            world
                .charge_order("www.example.org", Limits::PUBLIC)
                .await
                .unwrap(),
        );
        assert!(std::fs::read_to_string(&window).unwrap().ends_with("]}"));
    }
}
