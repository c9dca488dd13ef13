//! How much may be asked of a CA in which time.

use std::fmt;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// So many in any stretch of time of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many.
    pub count: u32,
    /// In which time.
    pub window: Duration,
}

/// The budgets at one CA; what has none is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Orders of one account.
    pub orders: Option<Limit>,
    /// New certificates of one registered domain, whichever account has asked.
    pub certificates: Option<Limit>,
    /// Failed authorizations of one name, whichever account has asked.
    pub failed_authorizations: Option<Limit>,
}

impl Limits {
    /// Nothing is counted.
    pub const NONE: Self = Self {
        orders: None,
        certificates: None,
        failed_authorizations: None,
    };

    /// For a private CA, whose certificates may live for hours: only failures are bounded.
    pub const PRIVATE: Self = Self {
        failed_authorizations: Some(Limit {
            count: 4,
            window: HOUR,
        }),
        ..Self::NONE
    };

    /// For the public CAs: below the lowest limits that they publish.
    pub const PUBLIC: Self = Self {
        orders: Some(Limit {
            count: 250,
            window: Duration::from_secs(3 * 3600),
        }),
        certificates: Some(Limit {
            count: 40,
            window: Duration::from_secs(7 * 24 * 3600),
        }),
        ..Self::PRIVATE
    };
}

impl Limit {
    /// The window in words: `hour`, `3 hours`, `7 days`.
    pub(super) fn window_in_words(&self) -> impl fmt::Display {
        let seconds = self.window.as_secs();
        match (seconds % DAY.as_secs(), seconds % HOUR.as_secs()) {
            (0, _) => format!("{} days", seconds / DAY.as_secs()),
            (_, 0) if self.window == HOUR => "an hour".to_owned(),
            (_, 0) => format!("{} hours", seconds / HOUR.as_secs()),
            _ => humantime::format_duration(self.window).to_string(),
        }
    }
}
