//! The daily sweep over storage. It schedules the renewal of certificates that no client has asked for since the start, and
//! removes expired certificates, records of finished orders and of old challenges, and stale DNS records. It begins after the listeners are open,
//! reads slowly, and keeps only the current name in memory.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use tracing::{debug, info, warn};

use super::stale_dns_records::StaleDnsRecords;
use crate::backoff::spread;
use crate::certs::challenge::ChallengeRecords;
use crate::certs::clock::{Clock, from_unix};
use crate::certs::issuance::{FIRST_QUESTIONS, Purpose};
use crate::certs::issuer::ExpiredOrderRecords;
use crate::certs::manager::{CertManager, Due, Reminder};
use crate::certs::renewal::RenewalPlan;
use crate::certs::store::{CertificateStore, Stored};
use crate::name::HostPattern;
use crate::storage::{self, Key};
use crate::tasks::Shutdown;

/// The delay of the first sweep. Configured names and the first clients come before it.
const FIRST_DELAY: Duration = Duration::from_secs(5);

/// The time between two sweeps.
const INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// The pause after each batch of names, which leaves the disk free for others.
const BATCH_PAUSE: Duration = Duration::from_millis(100);

/// Time after which an expired certificate is removed, unless its name is configured.
const KEPT_EXPIRED: Duration = Duration::from_secs(14 * 24 * 3600);

/// Sweeps over storage once a day.
#[derive(Debug)]
pub(crate) struct StoreSweep {
    manager: CertManager,
    records: CertificateStore,
    orders: ExpiredOrderRecords,
    stale_dns_records: StaleDnsRecords,
    clock: Clock,
}

/// Counts of one sweep.
#[derive(Debug, Default)]
struct Count {
    certificates: usize,
    scheduled: usize,
    removed: usize,
}

impl StoreSweep {
    pub(super) fn new(manager: CertManager) -> Self {
        let records = manager.records().clone();
        Self {
            stale_dns_records: StaleDnsRecords::new(manager.clone()),
            orders: ExpiredOrderRecords::new(Arc::clone(records.storage())),
            records,
            clock: manager.clock(),
            manager,
        }
    }

    /// Runs until the process stops.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let sweeps = async {
            tokio::time::sleep(FIRST_DELAY).await;
            loop {
                self.sweep().await;
                tokio::time::sleep(spread(INTERVAL, 0.05)).await;
            }
        };
        tokio::select! {
            () = shutdown.requested() => (),
            () = sweeps => (),
            () = self.stale_dns_records.run() => (),
        }
    }

    async fn sweep(&self) {
        let mut count = Count::default();
        if let Err(error) = self.sweep_certificates(&mut count).await {
            warn!(%error, "stored certificates cannot be listed");
        }
        if count.certificates > 0 {
            info!(
                certificates = count.certificates,
                scheduled = count.scheduled,
                removed = count.removed,
                "stored certificates checked"
            );
        }
        match self.sweep_orders().await {
            Ok(0) => (),
            Ok(removed) => info!(removed, "records of finished orders removed"),
            Err(error) => warn!(%error, "records of orders cannot be checked"),
        }
        let now = self.clock.now();
        match ChallengeRecords::remove_stale(self.records.storage(), now).await {
            Ok(0) => (),
            Ok(removed) => info!(removed, "records of old challenges removed"),
            Err(error) => warn!(%error, "records of challenges cannot be checked"),
        }
    }

    async fn sweep_certificates(&self, count: &mut Count) -> Result<(), storage::Error> {
        let mut issuers = self.records.issuers();
        while let Some(batch) = issuers.next().await {
            for issuer in batch? {
                let Some(issuer) = issuer.last_segment() else {
                    continue;
                };
                // A folder that cannot be read must not keep the sweep from the other issuers.
                if let Err(error) = self.sweep_issuer(&issuer, count).await {
                    let issuer = self.name_of(&issuer);
                    warn!(issuer, %error, "stored certificates cannot be listed");
                }
            }
        }
        Ok(())
    }

    async fn sweep_issuer(&self, issuer: &str, count: &mut Count) -> Result<(), storage::Error> {
        let mut names = self.records.names(issuer);
        while let Some(batch) = names.next().await {
            for name in batch? {
                count.certificates += 1;
                if let Err(error) = self.check(issuer, &name, count).await {
                    debug!(record = %name, %error, "stored certificate skipped");
                }
            }
            tokio::time::sleep(BATCH_PAUSE).await;
        }
        Ok(())
    }

    async fn check(
        &self,
        issuer: &str,
        name: &Key,
        count: &mut Count,
    ) -> Result<(), storage::Error> {
        let segment = name.as_str().rsplit('/').next().unwrap_or_default();
        let Some(subject) = self.records.subject_in(issuer, segment).await? else {
            return Ok(());
        };
        if self.manager.is_configured(&subject) {
            return Ok(());
        }
        let now = self.clock.now();
        let Some(plan) = self.plan(issuer, &subject).await? else {
            return Ok(());
        };
        let end = from_unix(plan.not_after);
        if end + KEPT_EXPIRED <= now {
            count.removed += usize::from(self.remove(issuer, &subject).await?);
        } else if end > now && self.manager.is_wanted(issuer, &subject) {
            count.scheduled += 1;
            self.schedule(subject, &plan, now);
        }
        Ok(())
    }

    /// Returns the renewal plan that is stored with a certificate, else one by its lifetime.
    async fn plan(
        &self,
        issuer: &str,
        subject: &HostPattern,
    ) -> Result<Option<RenewalPlan>, storage::Error> {
        if let Some(plan) = self.records.load_plan(issuer, subject).await? {
            return Ok(Some(plan));
        }
        let stored = self.records.load_certificate(issuer, subject).await?;
        Ok(match stored {
            Stored::Found(it) => Some(RenewalPlan::new(subject, &it, it.not_before())),
            Stored::Missing | Stored::Damaged(_) => None,
        })
    }

    fn schedule(&self, subject: HostPattern, plan: &RenewalPlan, now: SystemTime) {
        let (question, renewal) = (
            now + FIRST_QUESTIONS.mul_f64(fastrand::f64()),
            plan.renew_at(),
        );
        let purpose = if renewal <= question {
            Purpose::Renew
        } else {
            Purpose::CheckAri
        };
        self.manager.remind(Reminder::SetIfAbsent(Due {
            subject,
            at: renewal.min(question),
            purpose,
        }));
    }

    /// Removes the records of orders that have expired at their CA. Returns the number of removed records.
    async fn sweep_orders(&self) -> Result<usize, storage::Error> {
        let mut removed = 0;
        for folder in self.orders.folders().await? {
            let mut records = self.orders.records(&folder);
            while let Some(batch) = records.next().await {
                for key in batch? {
                    removed += usize::from(self.sweep_order(&key).await?);
                }
                tokio::time::sleep(BATCH_PAUSE).await;
            }
        }
        Ok(removed)
    }

    /// Removes the record of one order if it has expired. Orders of configured names are kept: their next attempt resumes
    /// them, however late.
    async fn sweep_order(&self, key: &Key) -> Result<bool, storage::Error> {
        let Some(order) = self.orders.expired(key, self.clock.now()).await? else {
            return Ok(false);
        };
        let subject = order.subject();
        if self.manager.is_configured(subject) || self.manager.is_in_flight(subject) {
            return Ok(false);
        }
        // Another process that holds the lock may have placed a new order in the meantime.
        let _lock = self.records.lock_issuance(subject).await?;
        let Some(order) = self.orders.expired(key, self.clock.now()).await? else {
            return Ok(false);
        };
        self.orders.remove(&order).await?;
        debug!(names = %order.subject(), "record of a finished order removed");
        Ok(true)
    }

    /// Removes an expired certificate, unless a new one has been stored in the meantime.
    async fn remove(&self, issuer: &str, subject: &HostPattern) -> Result<bool, storage::Error> {
        let _lock = self.records.lock_issuance(subject).await?;
        let stored = self.records.load_certificate(issuer, subject).await?;
        let limit = self.clock.now() - KEPT_EXPIRED;
        if matches!(&stored, Stored::Found(it) if it.not_after() > limit) {
            return Ok(false);
        }
        self.records.remove_certificate(issuer, subject).await?;
        info!(names = %subject, issuer = self.name_of(issuer), "expired certificate removed");
        Ok(true)
    }

    fn name_of(&self, issuer: &str) -> String {
        self.manager.issuers().name_of(issuer).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use serde_json::json;

    use super::*;
    use crate::certs::certificate::{CertCache, TestCa};
    use crate::certs::clock::unix;
    use crate::certs::issuer::{Error, IssueRequest, Issuer, Pem};
    use crate::certs::manager::{ManagerParts, World, on_demand, site};
    use crate::certs::policy::Ruleset;
    use crate::certs::policy::{Issuers, Policy};
    use crate::name::NameMap;
    use crate::storage::FileStorage;
    use crate::tasks::Tasks;

    const DAY: i64 = 24 * 3600;

    /// The sweep of a process that has just started.
    fn sweep(world: &World, policies: Vec<Policy>) -> (StoreSweep, Tasks) {
        let (manager, tasks) = world.manager(policies);
        let sweep = StoreSweep::new(manager);
        (sweep, tasks)
    }

    fn records(world: &World) -> CertificateStore {
        CertificateStore::new(Arc::new(FileStorage::open(world.dir.path()).unwrap()))
    }

    fn pattern(name: &str) -> HostPattern {
        HostPattern::parse(name).unwrap()
    }

    /// Stores a certificate that is valid during `days`, counted from now.
    async fn store(world: &World, name: &str, days: std::ops::Range<i64>) {
        let pem = TestCa::new().sign(&[name], days.start * DAY..days.end * DAY);
        let records = records(world);
        let subject = pattern(name);
        let stored = records.store_certificate("test", &subject, &pem);
        stored.await.unwrap();
    }

    /// Waits until an order is placed.
    async fn wait_for_order(world: &World) {
        let ordered = world.issuer.ordered.notified();
        let soon = tokio::time::timeout(Duration::from_secs(10), ordered);
        soon.await.expect("an order should come soon");
    }

    async fn is_stored(world: &World, name: &str) -> bool {
        let records = records(world);
        let stored = records.load_certificate("test", &pattern(name)).await;
        matches!(stored, Ok(Stored::Found(_)))
    }

    #[tokio::test]
    async fn a_name_without_visitors_is_renewed_when_it_is_due() {
        let world = World::new(Some(3600));
        store(&world, "due.example.org", -80..10).await;
        store(&world, "young.example.org", -10..80).await;
        let (policy, asked) = on_demand(200).await;
        let (sweep, _tasks) = sweep(&world, vec![policy]);
        let mut count = Count::default();

        sweep.sweep_certificates(&mut count).await.unwrap();
        wait_for_order(&world).await;

        assert_eq!(
            (count.certificates, count.scheduled, count.removed),
            (2, 2, 0)
        );
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
        assert_eq!(world.issuer.orders(), 1);
    }

    #[tokio::test]
    async fn the_stored_plan_sets_the_time() {
        let world = World::new(Some(3600));
        let name = pattern("young.example.org");
        store(&world, "young.example.org", -10..80).await;
        let records = records(&world);
        let stored = records.load_certificate("test", &name).await;
        let Ok(Stored::Found(certificate)) = stored else {
            panic!()
        };
        let mut plan = RenewalPlan::new(&name, &certificate, SystemTime::now());
        plan.renew_at = 1;
        let written = records.store_plan("test", &name, &plan);
        written.await.unwrap();
        let (policy, _) = on_demand(200).await;
        let (sweep, _tasks) = sweep(&world, vec![policy]);

        sweep.sweep().await;

        wait_for_order(&world).await;
    }

    #[tokio::test]
    async fn a_name_too_long_for_a_file_is_renewed_despite_an_unreadable_folder() {
        let world = World::new(Some(3600));
        let long = format!("{0}.{0}.{0}.example.org", "x".repeat(63));
        store(&world, &long, -80..10).await;
        std::fs::write(world.dir.path().join("certificates/broken"), "").unwrap();
        std::fs::write(world.dir.path().join("certificates/zroken"), "").unwrap();
        let (policy, _) = on_demand(200).await;
        let (sweep, _tasks) = sweep(&world, vec![policy]);
        let mut count = Count::default();

        sweep.sweep_certificates(&mut count).await.unwrap();
        wait_for_order(&world).await;

        assert_eq!((count.certificates, count.scheduled), (1, 1));
    }

    #[tokio::test]
    async fn a_name_served_by_a_wildcard_certificate_is_not_renewed_on_its_own() {
        let world = World::new(None);
        store(&world, "due.example.org", -80..10).await;
        store(&world, "old.example.org", -100..-15).await;
        let site = Policy::wildcard(pattern("*.example.org"));
        let (sweep, _tasks) = sweep(&world, vec![site]);
        let mut count = Count::default();

        sweep.sweep_certificates(&mut count).await.unwrap();

        assert_eq!((count.scheduled, count.removed), (0, 1));
        assert!(is_stored(&world, "due.example.org").await);
        let due = pattern("due.example.org");
        assert!(!sweep.manager.maintain(due, Purpose::Renew).await);
    }

    /// Writes the record of an order that was placed `days` ago and was valid for a week.
    fn leave_order(world: &World, path: &str, name: &str, days: u64) {
        let placed = unix(SystemTime::now()) - days * 24 * 3600;
        let record = json!({
            "issuer": "test", "account": "https://ca.test/1", "subject": name,
            "url": "https://ca.test/order/1", "placed": placed, "key": "",
            "expires": placed + 7 * 24 * 3600,
        });
        let path = world.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, record.to_string()).unwrap();
    }

    const ACCOUNT: &str = "orders/test/https%3A%2F%2Fca.test%2F1";

    #[tokio::test]
    async fn records_of_expired_orders_are_removed_unless_the_name_is_configured() {
        let world = World::new(None);
        let long = format!("{0}.{0}.{0}.example.org", "x".repeat(63));
        let hashed = format!("{ACCOUNT}/hashed");
        for (path, name, days) in [
            (
                &format!("{ACCOUNT}/old.example.org.json"),
                "old.example.org",
                8,
            ),
            (
                &format!("{ACCOUNT}/young.example.org.json"),
                "young.example.org",
                6,
            ),
            (
                &format!("{ACCOUNT}/www.example.org.json"),
                "www.example.org",
                8,
            ),
            (&hashed, long.as_str(), 8),
            (
                &"orders/test/older.example.org.json".to_owned(),
                "older.example.org",
                8,
            ),
        ] {
            leave_order(&world, path, name, days);
        }
        let damaged = world
            .dir
            .path()
            .join(ACCOUNT)
            .join("damaged.example.org.json");
        std::fs::write(damaged, "half a").unwrap();
        let (sweep, _tasks) = sweep(&world, vec![site("www.example.org")]);

        assert_eq!(sweep.sweep_orders().await.unwrap(), 4);

        let left = std::fs::read_dir(world.dir.path().join(ACCOUNT)).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["www.example.org.json", "young.example.org.json"]);
        let older = world.dir.path().join("orders/test/older.example.org.json");
        assert!(!older.exists());
    }

    #[tokio::test(start_paused = true)]
    async fn the_record_of_an_order_under_way_stays() {
        let world = World::new(None);
        let path = format!("{ACCOUNT}/old.example.org.json");
        leave_order(&world, &path, "old.example.org", 8);
        let (sweep, _tasks) = sweep(&world, Vec::new());
        let lock = records(&world)
            .lock_issuance(&pattern("old.example.org"))
            .await;

        let mut running = Box::pin(sweep.sweep_orders());
        let still_waiting = tokio::time::timeout(Duration::from_secs(3), &mut running).await;
        leave_order(&world, &path, "old.example.org", 0);
        drop(lock);

        assert!(still_waiting.is_err());
        assert_eq!(running.await.unwrap(), 0);
        assert!(world.dir.path().join(path).exists());
    }

    #[tokio::test]
    async fn expired_certificates_of_unconfigured_names_are_removed_after_two_weeks() {
        let world = World::new(None);
        for (name, end) in [
            ("old.example.org", -15),
            ("recent.example.org", -13),
            ("stranger.example.org", 1),
            ("www.example.org", -15),
        ] {
            store(&world, name, -100..end).await;
        }
        let (sweep, _tasks) = sweep(&world, vec![site("www.example.org")]);
        let mut count = Count::default();

        sweep.sweep_certificates(&mut count).await.unwrap();

        assert_eq!(
            (count.certificates, count.scheduled, count.removed),
            (4, 0, 1)
        );
        let folder = world.dir.path().join("certificates/test");
        assert!(!folder.join("old.example.org").exists());
        for name in [
            "recent.example.org",
            "stranger.example.org",
            "www.example.org",
        ] {
            assert!(is_stored(&world, name).await, "{name}");
        }
    }

    /// An issuer whose name differs from its id. It signs nothing.
    #[derive(Debug)]
    struct Corp;

    impl Issuer for Corp {
        fn id(&self) -> &'static str {
            "test"
        }

        fn name(&self) -> &'static str {
            "corp"
        }

        fn issue<'a>(&'a self, _: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>> {
            async { Err(Error::NoSubject) }.boxed()
        }
    }

    fn sweep_of_corp(world: &World) -> (StoreSweep, Tasks) {
        let tasks = Tasks::new();
        let manager = crate::certs::start(ManagerParts {
            ruleset: Ruleset {
                policies: NameMap::new(),
                issuers: Issuers {
                    public: vec![Arc::new(Corp)],
                    internal: Arc::new(Corp),
                },
                preflight: None,
                on_cert: None,
            },
            records: records(world),
            cache: Arc::new(CertCache::new(10)),
            clock: Clock::system(),
            tasks: tasks.clone(),
        });
        let sweep = StoreSweep::new(manager);
        (sweep, tasks)
    }

    #[tokio::test]
    async fn the_log_shows_the_operators_name_for_an_issuer() {
        let world = World::new(None);
        store(&world, "old.example.org", -100..-15).await;
        let (sweep, _tasks) = sweep_of_corp(&world);
        let log = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&log);
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Shared(Arc::clone(&written)))
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);

        sweep.sweep().await;
        std::fs::remove_dir_all(world.dir.path().join("certificates/test")).unwrap_or_default();
        std::fs::write(world.dir.path().join("certificates/test"), "").unwrap();
        sweep.sweep().await;

        let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        for message in [
            "expired certificate removed",
            "stored certificates cannot be listed",
        ] {
            let line = log.lines().find(|line| line.contains(message));
            let line = line.unwrap_or_else(|| panic!("{message}: {log}"));
            assert!(line.contains("issuer=\"corp\""), "{line}");
        }
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
