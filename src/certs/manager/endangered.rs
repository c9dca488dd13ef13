//! Certificates that may expire: their renewal fails, and little of the time for it is left.

use std::time::SystemTime;

use super::cert_manager::CertManager;
use super::certificate_counts::CertEnd;
use crate::certs::issuance::common_words;
use crate::certs::status::Standing;
use crate::name::HostPattern;

/// Number of certificates that are looked at. Those with the earliest end come first.
const LOOKED_AT: usize = 200;

/// Part of the time for the renewal that is left when a certificate is endangered.
const LEFT_PART: u32 = 3;

/// A certificate that may expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endangered {
    /// The name or pattern of the certificate.
    pub name: HostPattern,
    /// The end of its validity.
    pub not_after: SystemTime,
    /// Why the last attempt to renew it has failed.
    pub last_error: String,
    /// The reason in words that are the same for all names that share it.
    pub cause: String,
}

impl CertManager {
    /// Returns the certificates whose renewal has failed, and that have less than a third of the time between renewal and end
    /// left. Looks at those that expire next.
    pub async fn endangered(&self) -> Vec<Endangered> {
        let now = self.clock().now();
        let mut endangered = Vec::new();
        for CertEnd { name, .. } in self.next_ends(LOOKED_AT) {
            let Standing::Served {
                not_after,
                renew_at,
                last_error: Some(last_error),
                ..
            } = self.standing_of(&name).await
            else {
                continue;
            };
            let window = not_after.duration_since(renew_at).unwrap_or_default();
            let left = not_after.duration_since(now).unwrap_or_default();
            if left < window / LEFT_PART {
                endangered.push(Endangered {
                    cause: common_words(&last_error, &name),
                    name,
                    not_after,
                    last_error,
                });
            }
        }
        endangered
    }
}

#[cfg(test)]
mod tests {
    use super::super::cert_manager::tests::{CLIENT, World, name, site};

    #[tokio::test]
    async fn a_certificate_whose_renewal_fails_is_endangered_in_the_last_third_of_the_time_for_it()
    {
        // Certificates of 6000 s are renewed after 3000 s.
        for (age, left, is_endangered) in [(5800, 200, true), (4500, 1500, false)] {
            let world = World::new(Some(left));
            *world.issuer.age.lock().unwrap() = age;
            let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
            let wanted = name("www.example.org");
            manager.certificate(&wanted, CLIENT).await.unwrap();
            // When it cannot be renewed.
            *world.issuer.validity.lock().unwrap() = None;
            let _ = manager.renew_now(&wanted.clone().into()).await;

            let endangered = manager.endangered().await;
            let names: Vec<_> = endangered.iter().map(|it| it.name.to_string()).collect();
            let expected: &[&str] = if is_endangered {
                &["www.example.org"]
            } else {
                &[]
            };
            assert_eq!(names, expected, "{left} s are left: {endangered:?}");
        }
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_due_is_not_endangered() {
        let world = World::new(Some(6000));
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let wanted = name("www.example.org");
        manager.certificate(&wanted, CLIENT).await.unwrap();
        assert!(manager.endangered().await.is_empty());
    }
}
