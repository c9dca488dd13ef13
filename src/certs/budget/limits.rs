//! Limits of the budgets.

use std::fmt;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Largest count in any time window of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Largest count.
    pub count: u32,
    /// Length of the window.
    pub window: Duration,
}

/// Limits at one CA. `None` means unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Orders of one account.
    pub orders: Option<Limit>,
    /// New certificates of one registered domain, over all accounts.
    pub certificates: Option<Limit>,
    /// Failed authorizations of one name, over all accounts.
    pub failed_authorizations: Option<Limit>,
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self {
        orders: None,
        certificates: None,
        failed_authorizations: None,
    };

    /// Limits for a private CA. Only failures are limited, because its certificates may be valid for only a few hours.
    pub const PRIVATE: Self = Self {
        failed_authorizations: Some(Limit {
            count: 4,
            window: HOUR,
        }),
        ..Self::NONE
    };

    /// Limits for a public CA: lower than the lowest limits that such CAs publish.
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
    /// Returns the window in words: `an hour`, `3 hours`, `7 days`.
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
