//! The shape of the source tree: which room may import which, that no files import each other in a circle, what a face
//! is, and how big files and folders get.

#![expect(clippy::unwrap_used, reason = "a surprise ends the test")]

mod broken;
mod circles;
mod graph;
mod pages;
mod paths;
mod rooms;
mod shape;
mod source;

use graph::Graph;
use source::{Source, sources};

/// What is wrong with a source tree; nothing if it keeps its shape.
fn check(sources: &[Source]) -> Vec<String> {
    let graph = Graph::of(sources);
    [
        shape::check(sources),
        rooms::check(&graph),
        circles::check(&graph),
    ]
    .concat()
}

/// The rules that rooms break until their files are moved: the start of the complaint, and words in it.
const OPEN: [(&str, &str); 13] = [
    ("src/acme", "files beside each other"),
    ("src/app", "files beside each other"),
    ("src/certs", "files beside each other"),
    ("src/proxy", "files beside each other"),
    ("src/server", "files beside each other"),
    ("src/upstream", "files beside each other"),
    ("src/acme", "a circle"),
    ("src/admin", "a circle"),
    ("src/certs", "a circle"),
    ("src/cli", "a circle"),
    ("src/proxy", "a circle"),
    ("src/upstream", "a circle"),
    ("src/server", "a circle"),
];

fn is_open(complaint: &str) -> bool {
    let fits =
        |(place, rule): &(&str, &str)| complaint.starts_with(place) && complaint.contains(rule);
    OPEN.iter().any(fits)
}

#[test]
fn the_tree_keeps_its_shape() {
    let mut complaints = check(&sources("src"));
    complaints.retain(|complaint| !is_open(complaint));
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
#[ignore = "shows what the rooms still have to mend: `cargo test --test architecture -- --ignored`"]
fn nothing_is_open() {
    let complaints = check(&sources("src"));
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
