//! The shape of the source tree: which room and which sub-room may import which, no circles of imports between the files
//! of a room, faces, names, and the size of files and folders.

#![expect(clippy::unwrap_used, reason = "a surprise ends the test")]

mod app_rooms;
mod broken;
mod circles;
mod graph;
mod pages;
mod paths;
mod rooms;
mod shape;
mod source;
mod sub_room_imports;
mod sub_rooms;

use graph::Graph;
use source::{Source, sources};

/// What is wrong with a source tree; nothing if it keeps its shape.
fn check(sources: &[Source]) -> Vec<String> {
    let graph = Graph::of(sources);
    [
        shape::check(sources),
        rooms::check(&graph),
        sub_room_imports::check(&graph),
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

#[test]
fn no_dependency_is_a_copy_of_our_own() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let manifest = std::fs::read_to_string(manifest).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    assert!(
        !manifest.contains_key("patch") && !manifest.contains_key("replace"),
        "a patched crate gets no fixes from its authors; find a way around it in our own code"
    );
    for table in ["dependencies", "dev-dependencies"] {
        let crates = manifest[table].as_table().unwrap();
        let is_copy = |spec: &toml::Value| spec.get("path").or_else(|| spec.get("git")).is_some();
        let copies: Vec<_> = crates.iter().filter(|(_, spec)| is_copy(spec)).collect();
        assert!(copies.is_empty(), "not from the registry: {copies:?}");
    }
}
