//! The shape of the source tree: which room may import which, what a face is, and how big a file gets.

#![expect(clippy::unwrap_used, reason = "a surprise ends the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// For each room, the rooms that it may import. The ground is the seven rooms that may import none.
const EDGES: [(&str, &[&str]); 18] = [
    ("name", &[]),
    ("backoff", &[]),
    ("gcra", &[]),
    ("dns", &[]),
    ("per_worker", &[]),
    ("tasks", &[]),
    ("metrics", &[]),
    ("acme", &["backoff", "name"]),
    ("storage", &["name", "tasks"]),
    (
        "certs",
        &[
            "acme",
            "storage",
            "name",
            "backoff",
            "gcra",
            "dns",
            "per_worker",
            "tasks",
            "metrics",
        ],
    ),
    ("tls", &["certs", "name"]),
    (
        "upstream",
        &["name", "backoff", "dns", "per_worker", "tasks", "metrics"],
    ),
    (
        "proxy",
        &["upstream", "name", "gcra", "per_worker", "tasks", "metrics"],
    ),
    (
        "server",
        &["tls", "proxy", "certs", "per_worker", "tasks", "metrics"],
    ),
    (
        "admin",
        &["certs", "upstream", "proxy", "metrics", "tasks", "name"],
    ),
    // The option types that rooms define, and what they are made of.
    (
        "config",
        &[
            "acme", "storage", "certs", "tls", "upstream", "proxy", "server", "admin", "name",
            "dns",
        ],
    ),
    (
        "app",
        &[
            "config",
            "admin",
            "server",
            "tls",
            "certs",
            "acme",
            "storage",
            "proxy",
            "upstream",
            "name",
            "backoff",
            "dns",
            "per_worker",
            "tasks",
            "metrics",
        ],
    ),
    // The built-in app of the demo runs on tracked tasks like all else; commands about a running
    // proxy ask it over the admin socket.
    ("cli", &["app", "config", "admin", "tasks"]),
];

const VAGUE_NAMES: [&str; 5] = ["utils", "helpers", "common", "misc", "types"];
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

/// A source file without its tests and comments, but with all its line breaks.
struct Source {
    path: PathBuf,
    text: String,
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let code: String = text[..tests_start(text)]
            .lines()
            .map(|line| format!("{}\n", line.split("//").next().unwrap()))
            .collect();
        Self {
            path: path.into(),
            text: text.to_owned(),
            code,
        }
    }

    fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    /// The first part of the path: `certs` for `certs/cache.rs`, `name` for `name.rs`.
    fn room(&self) -> &str {
        let first = self.path.iter().next().unwrap().to_str().unwrap();
        first.trim_end_matches(".rs")
    }

    fn complain(&self, at: usize, rule: &str) -> String {
        let line = self.code[..at].matches('\n').count() + 1;
        format!("src/{}:{line}: {rule}", self.path.display())
    }
}

fn tests_start(text: &str) -> usize {
    let starts = [
        "#[cfg(test)]\nmod tests",
        "#[cfg(test)]\npub(crate) mod tests",
    ];
    starts
        .iter()
        .filter_map(|start| text.find(start))
        .min()
        .unwrap_or(text.len())
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inner = path.strip_prefix(&root).unwrap().to_str().unwrap();
                sources.push(Source::new(inner, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(sources.len() > 10, "the sources were not found");
    sources
}

/// Each `crate::…` path's start and its first segments: one, or all of a group.
fn imports(code: &str) -> Vec<(usize, String, &str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let statement = &rest[..rest.find(';').unwrap_or(rest.len())];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(heads(group).into_iter().map(|head| (at, head, statement))),
            None => found.push((at, identifier(rest), statement)),
        }
    }
    found
}

fn identifier(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The first segments of a group's members, whose opening brace is gone.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(identifier(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found.retain(|head| !head.is_empty());
    found
}

fn check_imports(source: &Source) -> Vec<String> {
    let room = source.room();
    if matches!(room, "lib" | "main") {
        return Vec::new();
    }
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == room) else {
        return vec![source.complain(
            0,
            &format!("`{room}` is a room that the table of edges does not know"),
        )];
    };
    let mut complaints = Vec::new();
    for (at, target, statement) in imports(&source.code) {
        if target != room && !allowed.contains(&target.as_str()) {
            complaints.push(source.complain(at, &format!("`{room}` must not import `{target}`")));
        } else if (room, target.as_str()) == ("server", "certs")
            && !statement.to_lowercase().contains("http01")
        {
            complaints
                .push(source.complain(at, "`server` may import of `certs` only the http-01 table"));
        }
    }
    complaints
}

fn check_face(source: &Source) -> Vec<String> {
    if !matches!(source.name(), "mod.rs" | "lib.rs") {
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

fn check_file(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    if VAGUE_NAMES.contains(&source.name().trim_end_matches(".rs"))
        || VAGUE_NAMES.contains(&source.room())
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
    if source.code.lines().count() > 400 {
        complaints.push(source.complain(
            source.code.len(),
            "a file has at most 400 lines before its tests",
        ));
    }
    if source.room() != "tasks" {
        for spawn in SPAWNS {
            let found = source.code.match_indices(spawn);
            complaints
                .extend(found.map(|(at, _)| {
                    source.complain(at, "only tasks.rs spawns; use `tasks::Tasks`")
                }));
        }
    }
    complaints
}

fn check(source: &Source) -> Vec<String> {
    [
        check_imports(source),
        check_face(source),
        check_file(source),
    ]
    .concat()
}

#[test]
fn the_tree_keeps_its_shape() {
    let complaints: Vec<_> = sources().iter().flat_map(check).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn edges_lead_downward_only() {
    let allowed = |from: &str| EDGES.iter().find(|(name, _)| *name == from).unwrap().1;
    for (room, targets) in EDGES {
        for target in targets {
            assert!(
                !allowed(target).contains(&room),
                "`{room}` and `{target}` import each other"
            );
            assert!(
                *target != "config" || matches!(room, "app" | "cli"),
                "`{room}` imports `config`"
            );
        }
    }
}

#[test]
fn every_rule_can_be_broken() {
    let long = format!("//! Long.\n{}", "use std::io;\n".repeat(400));
    for (path, text, complaint) in [
        (
            "acme/order.rs",
            "//! O.\nuse crate::storage::Storage;\n",
            "src/acme/order.rs:2: `acme` must not import `storage`",
        ),
        (
            "tls/accept.rs",
            "//! A.\nuse crate::{\n    certs::{A, B},\n    proxy::C,\n};\n",
            "`tls` must not import `proxy`",
        ),
        (
            "proxy/route.rs",
            "//! R.\nfn f() -> crate::config::Config {}\n",
            "src/proxy/route.rs:2: `proxy` must not import `config`",
        ),
        (
            "server/accept.rs",
            "//! A.\nuse crate::certs::CertManager;\n",
            "only the http-01 table",
        ),
        (
            "cache/mod.rs",
            "//! C.\n",
            "`cache` is a room that the table of edges does not know",
        ),
        (
            "tls/mod.rs",
            "//! T.\nmod accept;\n\npub fn accept() {}\n",
            "src/tls/mod.rs:4: a face holds",
        ),
        ("tls/utils.rs", "//! U.\n", "the name says nothing"),
        ("tls/accept.rs", "use std::io;\n", "a file opens with `//!`"),
        ("tls/accept.rs", long.as_str(), "at most 400 lines"),
        (
            "tls/accept.rs",
            "//! A.\nfn f() { tokio::spawn(g()); }\n",
            "src/tls/accept.rs:2: only tasks.rs spawns",
        ),
    ] {
        let complaints = check(&Source::new(path, text)).join("\n");
        assert!(
            complaints.contains(complaint),
            "{complaint}: {complaints:?}"
        );
    }
}

#[test]
fn what_is_allowed_stays_silent() {
    for (path, text) in [
        (
            "server/http.rs",
            "//! S.\nuse crate::certs::Http01Table;\nuse crate::tls::accept;\n",
        ),
        (
            "tls/mod.rs",
            "//! T.\n\n#[cfg(test)]\nmod memory;\nmod accept;\n\npub use accept::{\n    Accept,\n    Acceptor,\n};\n",
        ),
        (
            "tls/accept.rs",
            "//! A.\n// crate::proxy\n#[cfg(test)]\nmod tests {\n    use crate::proxy::C;\n}\n",
        ),
    ] {
        assert_eq!(
            check(&Source::new(path, text)),
            Vec::<String>::new(),
            "{path}"
        );
    }
}
