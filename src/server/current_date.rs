//! The value of the field `Date` of responses that have none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use parking_lot::Mutex;

/// The current date as a field value. It is formatted at most once a second, since all responses of a second have the same.
#[derive(Debug, Default)]
pub(super) struct CurrentDate(Mutex<Option<Formatted>>);

#[derive(Debug)]
struct Formatted {
    /// Whole seconds since 1970.
    second: u64,
    value: HeaderValue,
}

impl CurrentDate {
    /// Returns the field value.
    pub(super) fn value(&self) -> HeaderValue {
        self.value_at(SystemTime::now())
    }

    fn value_at(&self, now: SystemTime) -> HeaderValue {
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since_1970.as_secs();
        let mut formatted = self.0.lock();
        if let Some(formatted) = &*formatted
            && formatted.second == second
        {
            return formatted.value.clone();
        }
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        let value = HeaderValue::try_from(date).expect("a date is visible ASCII");
        *formatted = Some(Formatted {
            second,
            value: value.clone(),
        });
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_changes_with_the_second_in_both_directions() {
        let date = CurrentDate::default();
        let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        for (millis, expected) in [
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_777_999, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778_000, "Sun, 06 Nov 1994 08:49:38 GMT"),
            (784_111_777_500, "Sun, 06 Nov 1994 08:49:37 GMT"),
        ] {
            assert_eq!(date.value_at(at(millis)), expected);
        }
    }
}
