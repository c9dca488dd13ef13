//! The delay before a name's next attempt after a failure: a pure function.

use std::time::Duration;

use super::error::Error;
use crate::backoff;

/// The shortest delay, however little validity is left: CAs allow only a few failures an hour.
const LEAST: Duration = Duration::from_secs(15 * 60);

/// Returns the delay after `failures` failures in a row. `retry_after` is the time that the CA asked to wait, and `left` the
/// time that the served certificate is still valid. The delay leaves room for more attempts before it expires, unless the
/// CA asked for a longer wait.
pub(crate) fn delay(
    failures: u32,
    failure: &Error,
    retry_after: Option<Duration>,
    left: Option<Duration>,
) -> Duration {
    let table = backoff::ISSUANCE.delay(failures, None);
    let table = left.map_or(table, |left| table.min((left / 8).max(LEAST)));
    let delay = match retry_after {
        Some(wait) => table.max(backoff::ISSUANCE.delay(failures, Some(wait))),
        None => table,
    };
    let least = if failure.has_spent_certificate() {
        backoff::UNUSABLE.delay(failures, None)
    } else if failure.is_permanent() {
        backoff::PERMANENT.delay(failures, None)
    } else {
        return delay;
    };
    delay.max(left.map_or(least, |left| least.min(left / 4)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::certificate::CertificateError;
    use crate::certs::issuer;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_served_certificate_never_expires_between_two_attempts() {
        let failure = Error::Issuer(issuer::Error::NoSubject);
        for (failures, left, most) in [
            (12, Some(40 * HOUR), 5 * HOUR),
            (12, Some(HOUR), LEAST),
            (1, Some(HOUR), HOUR / 40),
            (12, None, 29 * HOUR),
        ] {
            let delay = delay(failures, &failure, None, left);
            assert!(delay <= most, "{left:?}: {delay:?}");
        }
        assert!(delay(12, &failure, None, Some(8 * 30 * HOUR)) > 18 * HOUR);
        assert!(delay(12, &failure, None, None) > 18 * HOUR);
    }

    #[test]
    fn an_unusable_certificate_waits_longer_but_not_past_the_end() {
        let failure = Error::Issuer(CertificateError::KeyMismatch.into());
        assert!(delay(2, &failure, None, None) > 9 * HOUR);
        assert!(delay(2, &failure, None, Some(4 * HOUR)) <= HOUR);
    }
}
