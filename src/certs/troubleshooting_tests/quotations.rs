//! Reads the quotations in docs/troubleshooting.md and checks that no sentence is missing or too long.

use std::collections::HashSet;

use super::{before_the_order, machine, orders, records};
use crate::printable::short_line;

/// Returns all sentences that docs/troubleshooting.md quotes, each on one line.
pub(crate) fn quotations() -> HashSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md");
    let page = std::fs::read_to_string(path).unwrap();
    let paragraphs = page.split("\n\n");
    let quoted = paragraphs.filter_map(|paragraph| paragraph.trim().strip_prefix("> "));
    quoted.map(|text| text.replace("\n> ", " ")).collect()
}

/// Returns every sentence as the code says it.
async fn sentences() -> Vec<String> {
    [
        before_the_order::standings(),
        before_the_order::refused_before_the_order(),
        before_the_order::doubted_before_the_order(),
        before_the_order::port_443(),
        before_the_order::names_that_no_public_ca_signs(),
        before_the_order::names_on_demand().await,
        before_the_order::budgets(),
        orders::failed_validations(),
        orders::refused_orders(),
        orders::several_failed_issuers(),
        orders::unanswered_requests().await,
        records::hook_and_propagation(),
        records::updates_and_cloudflare(),
        machine::this_machine(),
    ]
    .concat()
}

#[tokio::test]
async fn every_cause_is_documented_word_for_word() {
    let sentences = sentences().await;
    let quotations = quotations();
    let is_missing = |sentence: &&String| !quotations.contains(*sentence);
    let missing: Vec<_> = sentences.iter().filter(is_missing).collect();
    assert!(
        missing.is_empty(),
        "not in docs/troubleshooting.md: {missing:#?}"
    );
}

#[tokio::test]
async fn every_cause_is_shorter_than_300_characters_and_fits_into_a_line_of_the_log_with_its_fix() {
    const LINE: &str = "2026-11-24T10:00:00.123456Z  WARN certificate not obtained names=www.example.org attempt=12 retry_in=1h error=";
    // The log has a line for each order and each doubt.
    let causes = |sentence: &String| {
        let parts = sentence.split("; and then, ");
        let parts = parts.flat_map(|part| part.split("; seen from here: "));
        parts.map(str::to_owned).collect::<Vec<_>>()
    };
    let standings = before_the_order::standings();
    let mut logged = sentences().await;
    logged.retain(|sentence| !standings.contains(sentence));
    for cause in logged.iter().flat_map(causes) {
        assert!(cause.len() < 300, "{}: {cause}", cause.len());
        let line = format!("{LINE}{cause}");
        let shown = short_line(&line);
        assert!(shown.len() < 300, "{}: {shown}", shown.len());
        let end = cause.rfind("; ").unwrap_or(cause.len());
        assert!(shown.ends_with(&cause[end..]), "{shown}");
    }
}
