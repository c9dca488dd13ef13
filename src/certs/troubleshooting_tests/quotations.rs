//! Reads the quotations in docs/troubleshooting.md and checks that no sentence is missing.

use std::collections::HashSet;

use super::{before_the_order, machine, orders, records};

/// Returns all sentences that docs/troubleshooting.md quotes, each on one line.
pub(crate) fn quotations() -> HashSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md");
    let page = std::fs::read_to_string(path).unwrap();
    let paragraphs = page.split("\n\n");
    let quoted = paragraphs.filter_map(|paragraph| paragraph.trim().strip_prefix("> "));
    quoted.map(|text| text.replace("\n> ", " ")).collect()
}

#[tokio::test]
async fn every_cause_is_documented_word_for_word() {
    let sentences = [
        before_the_order::standings(),
        before_the_order::refused_before_the_order(),
        before_the_order::doubted_before_the_order(),
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
    .concat();
    let quotations = quotations();
    let is_missing = |sentence: &&String| !quotations.contains(*sentence);
    let missing: Vec<_> = sentences.iter().filter(is_missing).collect();
    assert!(
        missing.is_empty(),
        "not in docs/troubleshooting.md: {missing:#?}"
    );
}
