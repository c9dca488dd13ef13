//! ACME renewal information (ARI, RFC 9773): when the CA wants a certificate to be renewed.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::acme::client::Client;
use crate::acme::error::{Error, Step};
use crate::acme::resource::or_default;
use crate::printable::quoted;

/// Time until the next request if the CA sends no Retry-After (RFC 9773 section 4.3.2).
const USUAL_WAIT: Duration = Duration::from_secs(6 * 3600);

/// Shortest time until the next request. More frequent requests would be useless.
const SHORTEST_WAIT: Duration = Duration::from_secs(60);

/// Longest time until the next request, so that a planned revocation is noticed within a day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The identifier of a certificate at its CA (RFC 9773 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CertId(String);

impl CertId {
    /// Builds the identifier from the leaf's authority key identifier and the content bytes of its DER serial number, with
    /// any leading zero.
    #[must_use]
    pub fn new(authority_key: &[u8], serial: &[u8]) -> Self {
        let [authority_key, serial] = [authority_key, serial].map(|it| URL_SAFE_NO_PAD.encode(it));
        Self(format!("{authority_key}.{serial}"))
    }

    /// Returns the identifier as text for URLs and orders.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The renewal information of one certificate (RFC 9773 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalInfo {
    /// Start of the suggested renewal window.
    pub start: SystemTime,
    /// End of the suggested renewal window, later than its start.
    pub end: SystemTime,
    /// URL of the CA's page about the reason, safe to print.
    pub explanation: Option<String>,
    /// Time until the next request.
    pub ask_again_after: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    suggested_window: WireWindow,
    #[serde(default, rename = "explanationURL", deserialize_with = "or_default")]
    explanation_url: String,
}

#[derive(Deserialize)]
struct WireWindow {
    start: String,
    end: String,
}

impl RenewalInfo {
    /// Requests the renewal information, which needs no account (RFC 9773 section 4.1). Returns `None` if the CA has none.
    pub async fn of(client: &Client, id: &CertId) -> Result<Option<Self>, Error> {
        let step = Step::RenewalInfo;
        let directory = client.directory().await?;
        let Some(service) = &directory.renewal_info else {
            return Ok(None);
        };
        let response = client.get(step, &resource(service, id)).await?;
        let wire: Wire = response.json()?;
        let mut info = wire.parse().ok_or_else(|| Error::Json {
            step,
            source: serde_json::Error::custom("a window that ends before it starts, or never"),
        })?;
        if let Some(wait) = response.retry_after() {
            info.ask_again_after = wait.clamp(SHORTEST_WAIT, LONGEST_WAIT);
        }
        Ok(Some(info))
    }
}

impl Wire {
    fn parse(self) -> Option<RenewalInfo> {
        let start = parse_time(&self.suggested_window.start)?;
        let end = parse_time(&self.suggested_window.end)?;
        let page = self.explanation_url;
        (start < end).then(|| RenewalInfo {
            start,
            end,
            explanation: (!page.is_empty()).then(|| quoted(&page)),
            ask_again_after: USUAL_WAIT,
        })
    }
}

fn resource(service: &Url, id: &CertId) -> Url {
    let mut url = service.clone();
    let path = format!("{}/{id}", service.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

/// Parses a time of RFC 3339 in any time zone.
pub(super) fn parse_time(text: &str) -> Option<SystemTime> {
    let text = text.to_ascii_uppercase();
    if text.ends_with('Z') {
        return humantime::parse_rfc3339(&text).ok();
    }
    let (local, zone) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let (sign, zone) = zone.split_at_checked(1)?;
    let (hours, minutes) = zone.split_once(':')?;
    let minutes = hours.parse::<u64>().ok()? * 60 + minutes.parse::<u64>().ok()?;
    let offset = Duration::from_secs(minutes * 60);
    match sign {
        "+" => local.checked_sub(offset),
        "-" => local.checked_add(offset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Option<RenewalInfo> {
        serde_json::from_str::<Wire>(json).ok()?.parse()
    }

    #[test]
    fn the_identifier_is_that_of_the_rfc() {
        let authority_key = [
            0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0,
            0xae, 0x2c, 0xde, 0x01, 0xc8, 0xd4,
        ];
        let id = CertId::new(&authority_key, &[0x00, 0x87, 0x65, 0x43, 0x21]);
        assert_eq!(id.as_str(), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
        for service in ["https://ca.test/ari", "https://ca.test/ari/"] {
            let url = resource(&service.parse().unwrap(), &id);
            assert_eq!(
                url.as_str(),
                "https://ca.test/ari/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
            );
        }
    }

    #[test]
    fn a_time_is_read_in_any_zone() {
        let utc = humantime::parse_rfc3339("2026-01-02T04:00:00Z").unwrap();
        for text in [
            "2026-01-02T04:00:00Z",
            "2026-01-02t04:00:00.000z",
            "2026-01-02T05:30:00+01:30",
            "2026-01-01T23:00:00.0-05:00",
        ] {
            assert_eq!(parse_time(text), Some(utc), "{text}");
        }
        for text in ["", "x", "2026-01-02", "2026-01-02T04:00:00", "\u{e9}+00:00"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn a_window_that_ends_before_it_starts_is_none() {
        let window = |start: &str, end: &str| {
            parse(&format!(
                r#"{{"suggestedWindow":{{"start":"{start}","end":"{end}"}},"explanationURL":"https://ca.test/why\u001b"}}"#
            ))
        };
        let info = window("2026-01-02T04:00:00Z", "2026-01-03T04:00:00Z").unwrap();
        assert_eq!(
            info.explanation.as_deref(),
            Some("https://ca.test/why\\u{1b}")
        );
        assert_eq!(
            info.end.duration_since(info.start).unwrap(),
            Duration::from_secs(86_400)
        );
        assert_eq!(window("2026-01-03T04:00:00Z", "2026-01-02T04:00:00Z"), None);
        assert_eq!(window("2026-01-02T04:00:00Z", "2026-01-02T04:00:00Z"), None);
    }
}
