//! Strict-Transport-Security (RFC 6797) of a site.

use std::time::Duration;

use http::HeaderValue;

/// Tells browsers to use HTTPS only (RFC 6797).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HstsOptions {
    /// Time for which browsers remember it, from each response on. Zero makes them forget it.
    pub max_age: Duration,
    /// Whether it applies to all subdomains too.
    pub include_subdomains: bool,
    /// Whether the site may be added to the preload lists of browsers.
    pub preload: bool,
}

impl HstsOptions {
    /// Value of Strict-Transport-Security.
    pub(super) fn value(&self) -> HeaderValue {
        let mut text = format!("max-age={}", self.max_age.as_secs());
        for (is_set, directive) in [
            (self.include_subdomains, "; includeSubDomains"),
            (self.preload, "; preload"),
        ] {
            if is_set {
                text.push_str(directive);
            }
        }
        HeaderValue::try_from(text).expect("a number and two words are visible ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hsts_value_is_in_seconds_with_the_chosen_directives() {
        let value = |include_subdomains, preload| {
            let max_age = Duration::from_secs(300);
            HstsOptions {
                max_age,
                include_subdomains,
                preload,
            }
            .value()
        };
        assert_eq!(value(false, false), "max-age=300");
        assert_eq!(value(true, false), "max-age=300; includeSubDomains");
        assert_eq!(value(true, true), "max-age=300; includeSubDomains; preload");
    }
}
