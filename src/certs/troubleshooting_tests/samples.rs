//! Sample names, times and errors for the sentences.

use std::time::SystemTime;

use crate::name::HostPattern;

pub(super) const NAME: &str = "www.example.org";
pub(super) const CA: &str = "letsencrypt";

pub(super) fn name(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

pub(super) fn at(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).unwrap()
}

pub(super) fn texts(sentences: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    let sentences = sentences.into_iter();
    sentences.map(|sentence| sentence.to_string()).collect()
}

/// Returns the error of a refused connection.
pub(super) async fn no_connection() -> reqwest::Error {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // Nothing listens on port 1.
    client.get("http://127.0.0.1:1/").send().await.unwrap_err()
}
