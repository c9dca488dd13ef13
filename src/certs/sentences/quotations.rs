//! Reads the sentences that docs/troubleshooting.md quotes, and checks that none is missing there.

use std::collections::HashSet;
use std::time::SystemTime;

use super::{machine, orders, records, waiting};
use crate::name::HostPattern;

pub(super) const NAME: &str = "www.example.org";
pub(super) const CA: &str = "letsencrypt";

/// Returns all sentences that docs/troubleshooting.md quotes, each as one line.
pub(crate) fn quotations() -> HashSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md");
    let page = std::fs::read_to_string(path).unwrap();
    let paragraphs = page.split("\n\n");
    let quoted = paragraphs.filter_map(|paragraph| paragraph.trim().strip_prefix("> "));
    quoted.map(|text| text.replace("\n> ", " ")).collect()
}

pub(super) fn name(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

pub(super) fn at(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).unwrap()
}

pub(super) fn told(sentences: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    let sentences = sentences.into_iter();
    sentences.map(|sentence| sentence.to_string()).collect()
}

/// The error of a client that nobody answers.
pub(super) async fn no_connection() -> reqwest::Error {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // Port 1 is nobody's.
    client.get("http://127.0.0.1:1/").send().await.unwrap_err()
}

#[tokio::test]
async fn every_cause_is_documented_word_for_word() {
    let sentences = [
        waiting::standings(),
        waiting::refused_before_the_order(),
        waiting::doubted_before_the_order(),
        waiting::names_that_no_public_ca_signs(),
        waiting::names_on_demand().await,
        waiting::budgets(),
        orders::what_the_ca_saw(),
        orders::what_the_ca_said(),
        orders::silence_of_the_ca().await,
        records::records_by_hook(),
        records::records_by_update(),
        machine::this_machine(),
    ]
    .concat();
    let quotations = quotations();
    let is_missing = |sentence: &&String| !quotations.contains(*sentence);
    let missing: Vec<_> = sentences.iter().filter(is_missing).collect();
    assert!(
        missing.is_empty(),
        "not in docs/troubleshooting.md: {missing:#?}"
    );
}
