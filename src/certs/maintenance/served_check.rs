//! The hourly look at what is served. The log says once that no name has a certificate yet, and once a day that expired
//! certificates are served.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::{error, warn};

use crate::certs::manager::CertManager;
use crate::name::HostPattern;
use crate::tasks::Shutdown;

/// The delay of the first look. By then, the first attempts are under way or have been refused.
const FIRST_DELAY: Duration = Duration::from_secs(5);

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
        let looks = async {
            tokio::time::sleep(FIRST_DELAY).await;
            if let Some(names) = self.waiting() {
                warn!(
                    names,
                    "no name has a certificate, and all wait for their next attempt; `proxy certs list` says why"
                );
            }
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
            () = looks => (),
        }
    }

    /// Returns the number of configured names if none of them has a certificate and none is being obtained.
    fn waiting(&self) -> Option<usize> {
        let stats = self.manager.stats();
        let is_waiting = stats.names > 0 && stats.without == stats.names && self.manager.is_idle();
        is_waiting.then_some(stats.names)
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
        assert_eq!(check.waiting(), None);
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

    #[tokio::test]
    async fn names_that_all_wait_are_told() {
        let world = World::new(None);
        let (manager, _tasks) = world.manager(vec![site(NAME)]);
        manager.certificate(&name(NAME), CLIENT).await.unwrap_err();
        while !manager.is_idle() {
            tokio::task::yield_now().await;
        }
        assert_eq!(ServedCheck::new(manager).waiting(), Some(1));
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
