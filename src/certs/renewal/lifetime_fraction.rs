//! The time at which a certificate is renewed: a pure function of its actual lifetime.

use std::time::{Duration, SystemTime};

use crate::certs::certificate::Certificate;

/// Certificates with at most this lifetime are renewed after half of it.
const SHORT_LIFETIME: Duration = Duration::from_secs(10 * 24 * 3600);

/// Returns the time from which a certificate is renewed: by its renewal plan, else by its lifetime.
#[must_use]
pub fn renew_at(certificate: &Certificate) -> SystemTime {
    let planned = certificate.planned_renewal();
    planned.unwrap_or_else(|| by_lifetime(certificate))
}

/// Returns the time from which a certificate is renewed if its CA does not say: when a third of its lifetime is left, or half
/// of it for short lifetimes, shifted by up to 2 % of the lifetime in either direction.
///
/// The shift depends on the serial number, so that it differs between certificates and stays the same across restarts.
pub(crate) fn by_lifetime(certificate: &Certificate) -> SystemTime {
    let start = certificate.not_before();
    let lifetime = certificate
        .not_after()
        .duration_since(start)
        .unwrap_or_default();
    let position = if lifetime <= SHORT_LIFETIME {
        1.0 / 2.0
    } else {
        2.0 / 3.0
    };
    let jitter = 0.02 * (2.0 * fraction(certificate.serial()) - 1.0);
    start + lifetime.mul_f64(position + jitter)
}

/// Returns a number from 0 to 1 that depends only on `text` (FNV-1a).
fn fraction(text: &str) -> f64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::certificate::TestCa;

    const DAY: i64 = 24 * 3600;

    /// Returns the fraction of its lifetime, in seconds, after which a certificate is renewed.
    fn position(seconds: i64) -> f64 {
        let pem = TestCa::new().sign(&["a.example"], 0..seconds);
        let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
        let age = renew_at(&certificate)
            .duration_since(certificate.not_before())
            .unwrap();
        age.as_secs_f64() / seconds as f64
    }

    #[test]
    fn the_actual_lifetime_decides() {
        for (seconds, expected) in [
            (3600, 0.5),
            (160 * 3600, 0.5),
            (10 * DAY, 0.5),
            (45 * DAY, 2.0 / 3.0),
            (90 * DAY, 2.0 / 3.0),
            (3650 * DAY, 2.0 / 3.0),
        ] {
            let position = position(seconds);
            assert!(
                (position - expected).abs() <= 0.0201,
                "{seconds} s: at {position}"
            );
        }
    }

    #[test]
    fn renewals_of_equal_certificates_are_spread() {
        let positions = (0..20).map(|_| position(90 * DAY)).collect::<Vec<_>>();
        let least = positions.iter().copied().fold(f64::INFINITY, f64::min);
        let most = positions.iter().copied().fold(0.0, f64::max);
        assert!(most - least > 0.01, "{least}..{most}");
    }
}
