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
