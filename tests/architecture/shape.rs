//! The shape of files and folders: faces, names, sizes, and where tasks are spawned.

use std::collections::BTreeMap;
use std::path::Path;

use super::source::Source;

const MOST_LINES: usize = 400;
const MOST_FILES: usize = 16;

const VAGUE_NAMES: [&str; 16] = [
    "base", "common", "core", "data", "general", "helper", "helpers", "impl", "info", "misc",
    "stuff", "things", "tools", "types", "util", "utils",
];

const SPAWNS: [&str; 5] = [
    "tokio::spawn",
    "task::spawn(",
    "spawn_local",
    "JoinSet",
    "TaskTracker",
];

const FACE: [&str; 7] = [
    "mod ",
    "pub mod ",
    "pub use ",
    "pub(crate) mod ",
    "pub(super) mod ",
    "pub(crate) use ",
    "pub(super) use ",
];

pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut complaints = check_tests(sources);
    for source in sources {
        complaints.extend(check_face(source));
        complaints.extend(check_spawns(source));
    }
    complaints
}

/// The rules that hold for the files of tests too.
pub(crate) fn check_tests(sources: &[Source]) -> Vec<String> {
    let mut complaints = check_folders(sources);
    complaints.extend(sources.iter().flat_map(check_file));
    complaints
}

/// A face holds nothing but `mod` and `pub use`.
fn check_face(source: &Source) -> Vec<String> {
    if !source.is_face() {
        return Vec::new();
    }
    let mut at = 0;
    let mut complaints = Vec::new();
    for statement in source.code.split_inclusive(';') {
        let words = statement.trim_start();
        let words = words
            .strip_prefix("#[cfg(test)]")
            .unwrap_or(words)
            .trim_start();
        if !words.is_empty() && !FACE.iter().any(|start| words.starts_with(start)) {
            let start = at + (statement.len() - words.len());
            complaints.push(source.complain(start, "a face holds `mod` and `pub use` only"));
        }
        at += statement.len();
    }
    complaints
}

/// Each file has a name that says something, a `//!` at its beginning and a bounded length.
fn check_file(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    if source
        .module()
        .iter()
        .any(|name| VAGUE_NAMES.contains(&name.as_str()))
    {
        complaints.push(source.complain(
            0,
            "the name says nothing; name the noun that the file holds",
        ));
    }
    if !source.text.starts_with("//!") {
        complaints.push(source.complain(
            0,
            "a file opens with `//!`: what it owns, what it must not know",
        ));
    }
    if source.code.lines().count() > MOST_LINES {
        let rule = format!("a file has at most {MOST_LINES} lines before its tests");
        complaints.push(source.complain(source.code.len(), &rule));
    }
    complaints
}

fn check_spawns(source: &Source) -> Vec<String> {
    if source.room() == "tasks" {
        return Vec::new();
    }
    let found = SPAWNS
        .iter()
        .flat_map(|spawn| source.code.match_indices(spawn));
    found
        .map(|(at, _)| source.complain(at, "only tasks.rs spawns; use `tasks::Tasks`"))
        .collect()
}

/// A folder has a bounded number of files beside each other, its face not counted.
fn check_folders(sources: &[Source]) -> Vec<String> {
    let mut counts = BTreeMap::<&Path, usize>::new();
    for source in sources.iter().filter(|source| !source.is_face()) {
        *counts.entry(source.path.parent().unwrap()).or_default() += 1;
    }
    let full = counts.iter().filter(|(_, count)| **count > MOST_FILES);
    full.map(|(folder, count)| {
        let folder = Path::new(&sources[0].root).join(folder);
        let folder = folder.display();
        format!("{folder}: {count} files beside each other; a folder has at most {MOST_FILES}")
    })
    .collect()
}
