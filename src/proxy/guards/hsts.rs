//! HTTP Strict Transport Security (RFC 6797).

use std::time::Duration;

use http::HeaderValue;

/// What browsers are told: to come over HTTPS only, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HstsOptions {
    /// From each response on. Zero takes it back.
    pub max_age: Duration,
    /// For all names below this one too.
    pub include_subdomains: bool,
    /// For the lists that browsers come with.
    pub preload: bool,
}

impl HstsOptions {
    /// The field's value.
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
    fn the_value_is_in_seconds_with_what_is_asked_for() {
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
