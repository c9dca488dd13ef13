//! Parses URLs of web servers.

use url::Url;

use crate::config::report::Problem;

/// Parses an absolute http or https URL.
pub(crate) fn parse_web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// Parses the URL that decides which names may have a certificate.
pub(crate) fn parse_ask(text: &str) -> Result<Url, Problem> {
    parse_web_url(text).ok_or_else(|| Problem::Ask(text.to_owned()))
}
