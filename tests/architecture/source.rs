//! Source files, each with its code apart from its tests.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file, and its code: the text without tests, comments and literals, but with all its line breaks.
pub(crate) struct Source {
    /// The folder that the path is below, such as `src`.
    pub(crate) root: String,
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            root: "src".to_owned(),
            path: path.into(),
            text: text.to_owned(),
            code: bare(&text[..tests_start(text)]),
        }
    }

    /// The file's name without its extension.
    pub(crate) fn stem(&self) -> &str {
        self.path.file_stem().unwrap().to_str().unwrap()
    }

    /// `true` for `mod.rs` and `lib.rs`, which say what a room shows to others.
    pub(crate) fn is_face(&self) -> bool {
        matches!(self.stem(), "mod" | "lib")
    }

    /// The folders of the path and the file: `["certs", "policy", "ruleset"]`.
    ///
    /// A face stands for its folder, so that its own name is left out.
    pub(crate) fn module(&self) -> Vec<String> {
        let path = self.path.with_extension("");
        let segments = path.iter().map(|part| part.to_str().unwrap().to_owned());
        let mut segments: Vec<_> = segments.collect();
        if self.is_face() {
            segments.pop();
        }
        segments
    }

    /// The first part of the path: `certs` for `certs/cache.rs`, `name` for `name.rs`.
    pub(crate) fn room(&self) -> &str {
        let first = self.path.iter().next().unwrap().to_str().unwrap();
        first.trim_end_matches(".rs")
    }

    /// A broken rule, with the place in the code where it is broken.
    pub(crate) fn complain(&self, at: usize, rule: &str) -> String {
        let line = self.code[..at].matches('\n').count() + 1;
        format!("{}/{}:{line}: {rule}", self.root, self.path.display())
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

/// Code without comments and without what literals hold.
fn bare(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let length = match c {
            '"' => text_length(rest),
            '\'' => character_length(rest),
            'r' | 'b' if matches!(&rest[..word], "r" | "br") => raw_text_length(rest, word),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ => 0,
        };
        let kept = if word > 0 { word } else { c.len_utf8() };
        if length == 0 {
            code.push_str(&rest[..kept]);
            rest = &rest[kept..];
        } else {
            code.extend(rest[..length].chars().filter(|c| *c == '\n'));
            rest = &rest[length..];
        }
    }
    code
}

/// The length of the literal that begins here with a quotation mark.
fn text_length(code: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in code.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// The length of the raw literal that begins here, `prefix` bytes before its hashes; 0 where none begins.
fn raw_text_length(code: &str, prefix: usize) -> usize {
    let rest = &code[prefix..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if !rest[hashes..].starts_with('"') {
        return 0;
    }
    let start = prefix + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = code[start..].find(&end).map(|at| at + end.len());
    length.map_or(code.len(), |length| start + length)
}

/// The length of the literal character that begins here; 0 where the quote begins a lifetime's name.
fn character_length(code: &str) -> usize {
    let mut chars = code.char_indices().skip(1);
    match chars.next() {
        // The escaped sign may be a quote itself.
        Some((_, '\\')) => code[3..].find('\'').map_or(0, |at| 3 + at + 1),
        _ => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
    }
}

/// All source files below a folder that the repository's root holds.
pub(crate) fn sources(folder_name: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder_name);
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inner = path.strip_prefix(&root).unwrap().to_str().unwrap();
                let source = Source::new(inner, &fs::read_to_string(&path).unwrap());
                let root = folder_name.to_owned();
                sources.push(Source { root, ..source });
            }
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(sources.len() > 10, "the sources were not found");
    sources
}
