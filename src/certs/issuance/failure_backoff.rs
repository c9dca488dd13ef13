//! How long a name waits after a failure: a pure decision.

use std::time::Duration;

use super::error::Error;
use crate::backoff;

/// However little time is left, no name is tried more often: CAs allow few failures an hour.
const LEAST: Duration = Duration::from_secs(15 * 60);

/// How long a name waits after so many failures in a row, where the CA has asked to be left alone for so long. Never so long that what is served, which
/// is valid for `left`, would run out without further tries, unless the CA asks for it.
pub(crate) fn delay(
    failures: u32,
    failure: &Error,
    asked: Option<Duration>,
    left: Option<Duration>,
) -> Duration {
    let table = backoff::ISSUANCE.delay(failures, None);
    let table = left.map_or(table, |left| table.min((left / 8).max(LEAST)));
    let delay = match asked {
        Some(asked) => table.max(backoff::ISSUANCE.delay(failures, Some(asked))),
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
    fn what_is_served_never_runs_out_between_two_tries() {
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
    fn a_spent_certificate_waits_longer_but_not_past_the_end() {
        let failure = Error::Issuer(CertificateError::NoKey.into());
        assert!(delay(2, &failure, None, None) > 9 * HOUR);
        assert!(delay(2, &failure, None, Some(4 * HOUR)) <= HOUR);
    }
}
