//! The hourly look at what is served. The log says once that no name has a certificate yet, and once a day that expired
//! certificates are served.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::{error, warn};

use crate::certs::manager::CertManager;
use crate::name::HostPattern;
use crate::tasks::Shutdown;

/// The delay of the first look, and the time between looks at the start. By then, the first attempts are under way or have been refused.
const FIRST_DELAY: Duration = Duration::from_secs(5);

/// The time after which names wait too long, even if attempts are under way.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time between two looks.
const INTERVAL: Duration = Duration::from_secs(3600);

/// The time between two log lines about expired certificates.
const REPEAT: Duration = Duration::from_secs(24 * 3600);

/// Number of names that one line shows.
const SHOWN: usize = 5;

/// Time at which this program was built.
fn built() -> SystemTime {
    let seconds = env!("BUILD_EPOCH").parse().unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Looks at what is served.
#[derive(Debug)]
pub(super) struct ServedCheck {
    manager: CertManager,
    told: Option<Instant>,
}

impl ServedCheck {
    pub(super) fn new(manager: CertManager) -> Self {
        Self {
            manager,
            told: None,
        }
    }

    /// Runs until the process stops.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        if let Some(reason) = wrong_clock(self.manager.clock().now(), built()) {
            error!(reason, "this machine's clock is wrong");
        }
        let manager = self.manager.clone();
        let looks = async {
            tokio::time::sleep(FIRST_DELAY).await;
            loop {
                if let Some((number, names)) = self.expired() {
                    error!(
                        number,
                        names,
                        "expired certificates are served, because no newer ones can be had; `proxy certs list` says why"
                    );
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::select! {
            () = shutdown.requested() => (),
            ((), ()) = async { tokio::join!(tell_waiting(manager), looks) } => (),
        }
    }

    /// Returns the number and some names of expired certificates, unless the log has told them within a day.
    fn expired(&mut self) -> Option<(usize, String)> {
        let expired = self.manager.expired();
        if expired.is_empty() {
            self.told = None;
            return None;
        }
        if self.told.is_some_and(|told| told.elapsed() < REPEAT) {
            return None;
        }
        self.told = Some(Instant::now());
        let shown = expired.iter().take(SHOWN).map(HostPattern::to_string);
        let shown = shown.collect::<Vec<_>>().join(", ");
        Some((expired.len(), shown))
    }
}

/// Says once that no name has a certificate, if all of them wait. Ends when that is said, or when one has a certificate.
async fn tell_waiting(manager: CertManager) {
    let start = Instant::now();
    tokio::time::sleep(FIRST_DELAY).await;
    while let Some(names) = without_certificate(&manager) {
        // An attempt at a CA that does not answer is under way for minutes.
        if manager.is_idle() || start.elapsed() >= PATIENCE {
            warn!(
                names,
                "no name has a certificate yet; `proxy certs list` says why"
            );
            return;
        }
        tokio::time::sleep(FIRST_DELAY).await;
    }
}

/// Returns the number of configured names if none of them has a certificate.
fn without_certificate(manager: &CertManager) -> Option<usize> {
    let stats = manager.stats();
    (stats.names > 0 && stats.without == stats.names).then_some(stats.names)
}

/// Returns the sentence about a clock that is behind the time at which this program was built.
fn wrong_clock(now: SystemTime, built: SystemTime) -> Option<String> {
    let day = Duration::from_secs(24 * 3600);
    let at = humantime::format_rfc3339_seconds;
    (now + day < built).then(|| {
        format!(
            "it says {}, but this program was built at {}; set it, for example by NTP, because valid certificates look not yet valid",
            at(now),
            at(built)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::certificate::TestCa;
    use crate::certs::manager::{CLIENT, World, name, site};
    use crate::certs::store::CertificateStore;
    use crate::storage::FileStorage;
    use std::sync::Arc;

    const NAME: &str = "www.example.org";

    /// Stores a certificate that expired a minute ago.
    async fn store_expired(world: &World) {
        let storage = FileStorage::open(world.dir.path()).unwrap();
        let records = CertificateStore::new(Arc::new(storage));
        let pem = TestCa::new().sign(&[NAME], -3600..-60);
        let subject = HostPattern::parse(NAME).unwrap();
        records
            .store_certificate("test", &subject, &pem)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn an_expired_certificate_is_served_and_told_once_a_day_if_no_newer_one_can_be_had() {
        let world = World::new(None);
        store_expired(&world).await;
        let (manager, _tasks) = world.manager(vec![site(NAME)]);

        let served = manager.certificate(&name(NAME), CLIENT).await.unwrap();

        assert!(served.not_after() < SystemTime::now());
        assert_eq!(manager.stats().expired, 1);
        let mut check = ServedCheck::new(manager);
        assert_eq!(check.expired(), Some((1, NAME.to_owned())));
        assert_eq!(check.expired(), None);
        assert_eq!(without_certificate(&check.manager), None);
        check.told = check.told.map(|told| told - REPEAT);
        assert!(check.expired().is_some());
    }

    #[tokio::test]
    async fn an_expired_certificate_gives_way_to_a_new_one() {
        let world = World::new(Some(3600));
        store_expired(&world).await;
        let (manager, _tasks) = world.manager(vec![site(NAME)]);

        let served = manager.certificate(&name(NAME), CLIENT).await.unwrap();

        assert!(served.not_after() > SystemTime::now());
        assert_eq!(manager.stats().expired, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_all_wait_are_told_also_while_a_ca_does_not_answer() {
        // Given a CA whose answer never comes.
        let world = World::new(Some(3600));
        world.issuer.permits.forget_permits(usize::MAX);
        let (manager, _tasks) = world.manager(vec![site(NAME)]);
        let client = name(NAME);
        let asked = manager.certificate(&client, CLIENT);
        let told = async {
            world.issuer.ordered.notified().await;
            assert!(!manager.is_idle());
            let start = Instant::now();
            tell_waiting(manager.clone()).await;
            assert!(start.elapsed() >= PATIENCE && start.elapsed() < PATIENCE * 2);
            assert_eq!(without_certificate(&manager), Some(1));
            world.issuer.permits.add_permits(1);
        };
        let (served, ()) = tokio::join!(asked, told);
        served.unwrap();
        // Once the certificate is there, nothing is told.
        let start = Instant::now();
        tell_waiting(manager).await;
        assert!(start.elapsed() <= FIRST_DELAY * 2);
    }

    #[tokio::test]
    async fn an_expired_certificate_of_a_former_issuer_is_served_while_the_ca_is_slow() {
        let world = World::new(Some(3600));
        world.issuer.permits.forget_permits(usize::MAX);
        let storage = FileStorage::open(world.dir.path()).unwrap();
        let records = CertificateStore::new(Arc::new(storage));
        let pem = TestCa::new().sign(&[NAME], -3600..-60);
        let subject = HostPattern::parse(NAME).unwrap();
        let stored = records.store_certificate("former", &subject, &pem);
        stored.await.unwrap();
        let (manager, _tasks) = world.manager(vec![site(NAME)]);

        let served = manager.certificate(&name(NAME), CLIENT).await.unwrap();

        assert!(served.not_after() < SystemTime::now());
        // The new one follows.
        world.issuer.permits.add_permits(1);
        while manager.stats().expired == 1 {
            tokio::task::yield_now().await;
        }
        let served = manager.certificate(&name(NAME), CLIENT).await.unwrap();
        assert!(served.not_after() > SystemTime::now());
    }

    #[test]
    fn a_clock_before_the_build_is_told() {
        let at = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 24 * 3600);
        assert_eq!(wrong_clock(at(20_000), at(20_000)), None);
        let sentence = wrong_clock(at(0), at(20_000)).unwrap();
        assert!(
            sentence.starts_with("it says 1970-01-01T00:00:00Z, but"),
            "{sentence}"
        );
        assert!(built() > at(20_000));
    }
}
