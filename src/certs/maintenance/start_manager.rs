//! The start of the certificate manager and its background tasks.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::daily_store_check::StoreSweep;
use super::scheduler::Scheduler;
use super::served_check::ServedCheck;
use crate::certs::manager::{CertManager, ManagerParts};

/// Builds the manager and spawns its background tasks: the renewal loop, which begins with every name that the
/// configuration spells out, the log of failures, the hourly look at what is served, and the daily sweep over storage.
#[must_use]
pub fn start(parts: ManagerParts) -> CertManager {
    let (schedule, inbox) = mpsc::unbounded_channel();
    let manager = CertManager::new(parts, schedule);
    let tasks = manager.tasks();
    tasks.spawn(Scheduler::new(manager.clone(), inbox).run(tasks.shutdown()));
    let failure_log = Arc::clone(manager.obtainer().failures().log());
    tasks.spawn(failure_log.run(tasks.shutdown()));
    tasks.spawn(ServedCheck::new(manager.clone()).run(tasks.shutdown()));
    tasks.spawn(StoreSweep::new(manager.clone()).run(tasks.shutdown()));
    manager
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::{Duration, SystemTime};

    use futures_util::future::join_all;

    use crate::certs::issuance::Purpose;
    use crate::certs::manager::{CLIENT, Outcome, World, held_renewal, name, release, site, wait};
    use crate::certs::status::{CertificateRefusal, Standing};
    use crate::name::HostPattern;

    #[tokio::test]
    async fn a_restart_serves_what_is_stored_and_orders_nothing() {
        let world = World::new(Some(3600));
        let (manager, tasks) = world.manager(vec![site("www.example.org")]);
        let first = manager
            .certificate(&name("www.example.org"), CLIENT)
            .await
            .unwrap();
        tasks.drain(Duration::ZERO).await;

        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let second = manager
            .certificate(&name("www.example.org"), CLIENT)
            .await
            .unwrap();

        assert_eq!(first.serial(), second.serial());
        assert_eq!(world.issuer.orders(), 1);
    }

    #[tokio::test]
    async fn two_processes_on_one_data_directory_place_one_order() {
        let world = World::new(Some(3600));
        let processes = [
            world.manager(vec![site("www.example.org")]),
            world.manager(vec![site("www.example.org")]),
        ];
        let wanted = name("www.example.org");
        let served = join_all(
            processes
                .iter()
                .map(|(manager, _)| manager.certificate(&wanted, CLIENT)),
        );
        assert!(served.await.iter().all(Result::is_ok));
        assert_eq!(world.issuer.orders(), 1);
    }

    #[tokio::test]
    async fn the_failure_of_one_process_also_delays_another_that_waits_for_it() {
        let world = World::new(None);
        world.issuer.permits.forget_permits(1000);
        let processes = [
            world.manager(vec![site("www.example.org")]),
            world.manager(vec![site("www.example.org")]),
        ];
        let wanted = name("www.example.org");
        let handshakes = join_all(
            processes
                .iter()
                .map(|(manager, _)| manager.certificate(&wanted, CLIENT)),
        );
        let release = async {
            world.issuer.ordered.notified().await;
            world.issuer.permits.add_permits(2);
        };

        let (outcomes, ()) = tokio::join!(handshakes, release);

        let is_refused =
            |it: &Outcome| matches!(it, Err(CertificateRefusal::BackingOff { failures: 1, .. }));
        assert!(outcomes.iter().all(is_refused));
        assert_eq!(world.issuer.orders(), 1);
    }

    #[tokio::test]
    async fn a_failure_is_remembered_across_a_restart() {
        let world = World::new(None);
        let wanted = name("www.example.org");
        let (manager, tasks) = world.manager(vec![site("www.example.org")]);
        let refusal = manager.certificate(&wanted, CLIENT).await.unwrap_err();
        assert!(
            matches!(refusal, CertificateRefusal::BackingOff { failures: 1, .. }),
            "{refusal}"
        );
        tasks.drain(Duration::ZERO).await;

        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let refusal = manager.certificate(&wanted, CLIENT).await.unwrap_err();

        assert!(
            matches!(refusal, CertificateRefusal::BackingOff { failures: 1, .. }),
            "{refusal}"
        );
        assert_eq!(world.issuer.orders(), 1);
        let standing = manager.standing(&wanted).await;
        let Standing::BackingOff {
            until,
            failures: 1,
            reason,
            ..
        } = standing
        else {
            panic!("{standing}");
        };
        let wait = until.duration_since(SystemTime::now()).unwrap().as_secs();
        assert!((40..=75).contains(&wait), "{wait} s");
        assert!(reason.contains("cannot be for `*`"), "{reason}");
    }

    #[test]
    fn a_process_that_is_killed_in_each_attempt_does_not_order_each_time() {
        let process = || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap()
        };
        let world = World::new(Some(3600));
        world.issuer.permits.forget_permits(1000);
        for _ in 0..2 {
            // Dropping the runtime ends its tasks wherever they are.
            process().block_on(async {
                let _process = world.manager(vec![site("www.example.org")]);
                world.issuer.ordered.notified().await;
            });
        }
        world.issuer.permits.add_permits(1);

        process().block_on(async {
            let wanted = name("www.example.org");
            let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
            let refusal = manager.certificate(&wanted, CLIENT).await.unwrap_err();

            assert!(wait(&refusal) > Duration::from_secs(40), "{refusal}");
            assert_eq!(world.issuer.orders(), 2);
            let standing = manager.standing(&wanted).await.to_string();
            assert!(standing.contains("the process ended"), "{standing}");
        });
    }

    #[tokio::test]
    async fn a_due_certificate_is_served_until_its_successor_is_there() {
        let world = World::new(Some(4));
        world.issuer.permits.forget_permits(999);
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let first = held_renewal(&world, &manager).await;
        *world.issuer.validity.lock().unwrap() = Some(3600);

        release(&world, &manager).await;

        let renewed = manager
            .certificate(&name("www.example.org"), CLIENT)
            .await
            .unwrap();
        assert_ne!(renewed.serial(), first.serial());
        assert_eq!(world.issuer.orders(), 2);
    }

    #[tokio::test]
    async fn a_failed_renewal_keeps_the_old_certificate_and_says_why() {
        let world = World::new(Some(4));
        world.issuer.permits.forget_permits(999);
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let first = held_renewal(&world, &manager).await;
        *world.issuer.validity.lock().unwrap() = None;

        release(&world, &manager).await;

        let wanted = name("www.example.org");
        let served = manager.certificate(&wanted, CLIENT).await.unwrap();
        assert_eq!(served.serial(), first.serial());
        let standing = manager.standing(&wanted).await.to_string();
        assert!(standing.contains("the last renewal failed"), "{standing}");
    }

    #[tokio::test]
    async fn a_certificate_that_is_already_due_when_issued_is_not_replaced_at_once() {
        let world = World::new(Some(3600));
        *world.issuer.age.lock().unwrap() = 24 * 3600;
        let wanted = name("www.example.org");
        let (manager, tasks) = world.manager(vec![site("www.example.org")]);
        let first = manager.certificate(&wanted, CLIENT).await.unwrap();

        manager
            .maintain(HostPattern::Exact(wanted.clone()), Purpose::Renew)
            .await;
        manager
            .maintain(HostPattern::Exact(wanted.clone()), Purpose::Renew)
            .await;

        assert_eq!(world.issuer.orders(), 1);
        tasks.drain(Duration::ZERO).await;
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        manager
            .maintain(HostPattern::Exact(wanted.clone()), Purpose::Renew)
            .await;
        let served = manager.certificate(&wanted, CLIENT).await.unwrap();
        assert_eq!(served.serial(), first.serial());
        assert_eq!(world.issuer.orders(), 1);
        let standing = manager.standing(&wanted).await.to_string();
        assert!(standing.contains("clock"), "{standing}");
    }

    #[tokio::test]
    async fn an_unusable_certificate_is_not_ordered_again_within_minutes() {
        let world = World::new(Some(3600));
        world.issuer.signs_wrong_name.store(true, Ordering::SeqCst);
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let refusal = manager.certificate(&name("www.example.org"), CLIENT).await;
        assert!(wait(&refusal.unwrap_err()) > Duration::from_secs(40 * 60));
    }
}
