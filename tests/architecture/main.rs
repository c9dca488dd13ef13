//! The shape of the source tree: which room and which sub-room may import which, no circles of imports between the files
//! of a room, faces, names, and the size of files and folders.

#![expect(clippy::unwrap_used, reason = "a surprise ends the test")]

mod broken;
mod circles;
mod graph;
mod pages;
mod paths;
mod rooms;
mod shape;
mod source;
mod sub_rooms;

use graph::Graph;
use source::{Source, sources};

/// What is wrong with a source tree; nothing if it keeps its shape.
fn check(sources: &[Source]) -> Vec<String> {
    let graph = Graph::of(sources);
    [
        shape::check(sources),
        rooms::check(&graph),
        sub_rooms::check(&graph),
        circles::check(&graph),
    ]
    .concat()
}

#[test]
fn the_tree_keeps_its_shape() {
    let complaints = check(&sources("src"));
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_tests_keep_their_shape() {
    let complaints = shape::check_tests(&sources("tests"));
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
