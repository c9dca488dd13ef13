//! Parses URLs of web servers.

use url::Url;

use crate::config::report::{Problem, TracingProblem};

/// Parses an absolute http or https URL.
pub(crate) fn parse_web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// Parses the URL that decides which names may have a certificate.
pub(crate) fn parse_ask(text: &str) -> Result<Url, Problem> {
    parse_web_url(text).ok_or_else(|| Problem::Ask(text.to_owned()))
}

/// Parses the URL of a collector of traces in a Proxyfile.
pub(crate) fn parse_collector(text: &str) -> Result<Url, Problem> {
    parse_collector_url(text).map_err(Problem::from)
}

/// Parses the URL of a collector of traces.
pub(super) fn parse_collector_url(text: &str) -> Result<Url, TracingProblem> {
    let url = parse_web_url(text);
    let has_user = |url: &Url| !url.username().is_empty() || url.password().is_some();
    // A user or a query may be a secret, so it is not quoted.
    if url.as_ref().is_some_and(has_user) {
        return Err(TracingProblem::User);
    }
    let is_plain = |url: &Url| url.query().is_none() && url.fragment().is_none();
    let url = url.filter(is_plain);
    let shown = text.split('?').next().unwrap_or_default();
    url.ok_or_else(|| TracingProblem::Endpoint(shown.to_owned()))
}
