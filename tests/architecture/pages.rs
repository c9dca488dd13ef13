//! Checks README.md and docs/ against the repository: links, paths, keys, flags and reasons of refusals.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::source::sources;

/// Folders whose files the pages name in backticks.
const FOLDERS: [&str; 7] = [
    "benches/",
    "docker/",
    "docs/",
    "packaging/",
    "src/",
    "systemd/",
    "tests/",
];

/// Tables whose keys are names of the user's choice: sites, paths, users, header fields and statuses.
const FREE_KEYS: [&str; 7] = [
    "sites",
    "routes",
    "users",
    "set",
    "add",
    "error-pages",
    "headers",
];

struct Page {
    path: PathBuf,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(path: PathBuf) -> Page {
    let text = fs::read_to_string(root().join(&path)).unwrap();
    Page { path, text }
}

fn pages() -> Vec<Page> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| Path::new("docs").join(entry.unwrap().file_name()));
    let docs = docs.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let all = ["README.md", "CHANGELOG.md"].map(PathBuf::from);
    all.into_iter().chain(docs).map(page).collect()
}

/// The text without its fenced and indented code.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence && !line.starts_with("    ")
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// The anchors of the headings, as GitHub makes them.
fn anchors(text: &str) -> HashSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// The targets of the links and images that stay within the repository.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let parts = prose.split("](").skip(1);
    let targets = parts.filter_map(|part| Some(part.split_once(')')?.0.to_owned()));
    targets.filter(|target| !target.contains("://")).collect()
}

/// The paths of the repository that stand in backticks, without arguments behind them.
fn named_paths(text: &str) -> Vec<String> {
    let prose = prose(text);
    let quoted = prose.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|text| FOLDERS.iter().any(|folder| text.starts_with(folder)));
    let first_word = |text: &str| text.split_whitespace().next().unwrap().to_owned();
    paths.map(first_word).collect()
}

fn broken_link(page: &Page, link: &str) -> Option<String> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.path.clone(),
        file => page.path.parent().unwrap().join(file),
    };
    let complaint = |what| {
        Some(format!(
            "{}: `{link}` leads to no {what}",
            page.path.display()
        ))
    };
    if !root().join(&target).exists() {
        return complaint("file");
    }
    if anchor.is_empty()
        || anchors(&fs::read_to_string(root().join(target)).unwrap()).contains(anchor)
    {
        return None;
    }
    complaint("heading")
}

/// Adds the keys of a table and of the tables in it.
fn collect_keys(value: &toml::Value, has_free_keys: bool, keys: &mut HashSet<String>) {
    match value {
        toml::Value::Array(values) => {
            for value in values {
                collect_keys(value, has_free_keys, keys);
            }
        }
        toml::Value::Table(table) => {
            for (key, value) in table {
                if !has_free_keys {
                    keys.insert(key.clone());
                }
                let is_free = !has_free_keys && FREE_KEYS.contains(&key.as_str());
                collect_keys(value, is_free, keys);
            }
        }
        _ => {}
    }
}

/// The words between `start` and the next quotation mark, in all source files that have `mark`.
fn words_in_sources(mark: &str, start: &str) -> Vec<String> {
    let marked = sources("src")
        .into_iter()
        .filter(|source| source.text.contains(mark));
    let words = |text: &str| -> Vec<String> {
        let parts = text.split(start).skip(1);
        parts
            .filter_map(|part| Some(part.split_once('"')?.0.to_owned()))
            .collect()
    };
    marked.flat_map(|source| words(&source.text)).collect()
}

fn missing_in_operations(words: Vec<String>) -> Vec<String> {
    let operations = page("docs/operations.md".into()).text;
    let is_missing = |word: &String| !operations.contains(&format!("`{word}"));
    words.into_iter().filter(is_missing).collect()
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let broken: Vec<_> = pages
        .iter()
        .flat_map(|page| {
            links(&page.text)
                .into_iter()
                .filter_map(|link| broken_link(page, &link))
        })
        .collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn a_broken_link_is_found() {
    let readme = page("README.md".into());
    let text = "[a](docs/no.md) [b](#no-heading) [c](docs/operations.md#reload) [d](https://example.org/no)";
    let broken: Vec<_> = links(text)
        .iter()
        .filter_map(|link| broken_link(&readme, link))
        .collect();
    assert_eq!(
        broken,
        [
            "README.md: `docs/no.md` leads to no file",
            "README.md: `#no-heading` leads to no heading",
        ]
    );
}

#[test]
fn paths_in_the_pages_exist() {
    for page in pages() {
        let named = named_paths(&page.text);
        let missing: Vec<_> = named
            .iter()
            .filter(|path| !root().join(path).exists())
            .collect();
        assert!(missing.is_empty(), "{}: {missing:?}", page.path.display());
    }
}

#[test]
fn every_key_of_the_example_is_explained() {
    let example = fs::read_to_string(root().join("Proxyfile.example")).unwrap();
    let example: toml::Value = toml::from_str(&example.replace("#| ", "")).unwrap();
    let mut keys = HashSet::new();
    collect_keys(&example, false, &mut keys);
    assert!(keys.len() > 100, "the keys were not found");
    let page = page("docs/configuration.md".into());
    let list = page.text.split("\n## All keys\n").nth(1).unwrap();
    let is_named = |key: &str| {
        ["", "[", "[["]
            .iter()
            .any(|open| list.contains(&format!("`{open}{key}")))
    };
    let missing: Vec<_> = keys.iter().filter(|key| !is_named(key)).collect();
    assert!(missing.is_empty(), "not under \"All keys\": {missing:?}");
}

#[test]
fn every_flag_with_a_variable_is_explained() {
    let variables = words_in_sources("clap::Args", "env = \"PROXY_");
    assert!(variables.len() > 15, "the flags were not found");
    let flag = |variable: &String| format!("--{}", variable.to_lowercase().replace('_', "-"));
    let missing = missing_in_operations(variables.iter().map(flag).collect());
    assert!(missing.is_empty(), "not in docs/operations.md: {missing:?}");
}

#[test]
fn every_reason_of_a_refusal_is_explained() {
    let reasons = words_in_sources("reasons! {", " = \"");
    assert!(reasons.len() > 50, "the reasons were not found");
    let missing = missing_in_operations(reasons);
    assert!(missing.is_empty(), "not in docs/operations.md: {missing:?}");
}

#[test]
fn the_readme_has_at_most_10_kib() {
    assert!(page("README.md".into()).text.len() <= 10 * 1024);
}
