//! Ranges of status codes, as users write them.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;

/// Range of status codes, with its first and last code included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

/// Error for a text that is not a range of status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use a status, a range or a class, like `204`, `200-399` or `2xx`")]
pub struct StatusRangeError;

impl StatusRange {
    /// All status codes of successes and redirects.
    pub(super) const SUCCESS_OR_REDIRECT: Self = Self {
        first: 200,
        last: 399,
    };

    /// `true` if `status` is in the range.
    #[must_use]
    pub fn has(self, status: StatusCode) -> bool {
        (self.first..=self.last).contains(&status.as_u16())
    }
}

impl FromStr for StatusRange {
    type Err = StatusRangeError;

    fn from_str(text: &str) -> Result<Self, StatusRangeError> {
        let status = |text: &str| {
            let is_status = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            let status = is_status.then(|| text.parse().ok()).flatten();
            status.filter(|status| (100..=599).contains(status))
        };
        let ends = match (text.split_once('-'), text.strip_suffix("xx")) {
            (Some((first, last)), _) => status(first).zip(status(last)),
            (None, Some(class)) => status(&format!("{class}00")).zip(status(&format!("{class}99"))),
            (None, None) => status(text).zip(status(text)),
        };
        match ends {
            Some((first, last)) if first <= last => Ok(Self { first, last }),
            _ => Err(StatusRangeError),
        }
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_of_a_status_range_is_parsed() {
        for (text, first, last) in [("204", 204, 204), ("200-399", 200, 399), ("5xx", 500, 599)] {
            let range: StatusRange = text.parse().unwrap();
            assert_eq!((range.first, range.last), (first, last), "{text}");
            assert_eq!(range.to_string().parse(), Ok(range));
        }
        for text in [
            "", "20", "0200", "600", "9xx", "399-200", "200-", "+20", "xx",
        ] {
            assert_eq!(text.parse::<StatusRange>(), Err(StatusRangeError), "{text}");
        }
    }
}
