//! The hint about an unknown key: the key that was probably meant, or the table in which it stands.

use std::fmt;

use super::key::{Key, Kind};
use super::nearest_key::nearest_key;
use super::proxyfile_keys::PROXYFILE;
use super::site_keys::{ROUTE, SITE};

/// Minimum similarity for a suggestion.
const SIMILARITY: f64 = 0.75;

/// Similarity of a key that has only a small mistake.
const NEARLY_EQUAL: f64 = 0.95;

/// Stands in a path for the keys that users choose.
const ANY: &str = "*";

/// The names of the tables around a key, outermost first.
type TablePath = Vec<&'static str>;

/// The hint about an unknown key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeyHint {
    /// Keys of the same table that were probably meant.
    Meant(Vec<&'static str>),
    /// The key stands at the top of the file, and perhaps in a site too.
    AtTop { or_in_site: bool },
    /// The key stands in these tables.
    In(Vec<String>),
    /// All keys of the table, because none is similar.
    Known(Vec<&'static str>),
}

impl KeyHint {
    /// Returns the hint about `text`, which is none of the keys of a table.
    pub(crate) fn of(text: &str, table: &'static [Key]) -> Self {
        let names = || table.iter().map(|key| key.name);
        // A digit is no misspelling: `http` is a key elsewhere, and not `http3`.
        let has_digit = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
        let alike = names().filter(|name| has_digit(name) == has_digit(text));
        if let Some(nearest) = nearest_key(text, alike, NEARLY_EQUAL) {
            return Self::Meant(vec![nearest]);
        }
        let text = text.to_lowercase().replace('_', "-");
        let (is_whole_file, paths) = shortest(&text, table);
        let ending = format!("-{text}");
        let longer: Vec<_> = names().filter(|name| name.ends_with(&ending)).collect();
        if !longer.is_empty() && !paths.iter().any(|path| is_main(path)) {
            return Self::Meant(longer);
        }
        match paths.as_slice() {
            [] => match nearest_key(&text, names(), SIMILARITY) {
                Some(nearest) => Self::Meant(vec![nearest]),
                None => Self::Known(names().collect()),
            },
            [top] if top.is_empty() => Self::AtTop {
                or_in_site: SITE.iter().any(|key| key.name == text),
            },
            paths => {
                let mut tables: Vec<_> = paths
                    .iter()
                    .map(|path| describe(path, is_whole_file))
                    .collect();
                tables.dedup();
                Self::In(tables)
            }
        }
    }
}

impl fmt::Display for KeyHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meant(names) => write!(f, "did you mean `{}`?", names.join("` or `")),
            Self::AtTop { or_in_site } => {
                let site = if *or_in_site { "in a site or " } else { "" };
                write!(
                    f,
                    "it stands {site}at the top of the file, above all tables; move it there"
                )
            }
            Self::In(tables) => write!(f, "it stands in {}; move it there", tables.join(" or ")),
            Self::Known(names) => write!(f, "known here: `{}`", names.join("`, `")),
        }
    }
}

/// Returns the shortest paths from `table` to a key. If there are none from a section, a site or a route, returns those from
/// the top of the file. The first value is true if they begin there.
fn shortest(name: &str, table: &'static [Key]) -> (bool, Vec<TablePath>) {
    let mut paths = Vec::new();
    find(name, table, &[], &mut paths);
    paths.retain(|path: &TablePath| !path.is_empty());
    let is_whole_file = is_same(table, PROXYFILE) || paths.is_empty();
    // The keys of a small table such as `maintenance` have common names, which mean something else elsewhere.
    if paths.is_empty() && is_large(table) {
        find(name, PROXYFILE, &[], &mut paths);
    }
    // `[sites."a.example.org"]` is as near to the top as `[upstreams]`.
    let length = |path: &TablePath| path.iter().filter(|name| **name != ANY).count();
    let least = paths.iter().map(length).min();
    paths.retain(|path| Some(length(path)) == least);
    (is_whole_file, paths)
}

/// Returns true for the top of the file, its sections, a site and a route.
fn is_large(table: &'static [Key]) -> bool {
    let mut sections = PROXYFILE.iter().map(|key| &key.kind);
    [PROXYFILE, SITE, ROUTE]
        .into_iter()
        .any(|large| is_same(large, table))
        || sections.any(|kind| matches!(kind, Kind::Table(keys) if is_same(keys, table)))
}

/// Compares by name, because a constant may have several addresses.
fn is_same(one: &'static [Key], other: &'static [Key]) -> bool {
    let names = |keys: &'static [Key]| keys.iter().map(|key| key.name);
    names(one).eq(names(other))
}

/// Collects the paths of all tables with a key.
fn find(name: &str, keys: &'static [Key], path: &[&'static str], paths: &mut Vec<TablePath>) {
    for key in keys {
        if key.name == name {
            paths.push(path.to_vec());
        }
        find_in_kind(name, &key.kind, &[path, &[key.name]].concat(), paths);
    }
}

fn find_in_kind(
    name: &str,
    kind: &'static Kind,
    path: &[&'static str],
    paths: &mut Vec<TablePath>,
) {
    let element = kind.element().map_or(&[][..], Kind::keys);
    let keys = if kind.keys().is_empty() {
        element
    } else {
        kind.keys()
    };
    find(name, keys, path, paths);
    if let Some(entry) = kind.entry() {
        find_in_kind(name, entry, &[path, &[ANY]].concat(), paths);
    }
}

/// Returns true for the top of the file, a site and a route.
fn is_main(path: &[&str]) -> bool {
    matches!(path, [] | [.., ANY])
}

/// Names a table, as in "`upstream-options.tls` of a route".
fn describe(path: &[&str], is_whole_file: bool) -> String {
    let (owner, inner) = match path {
        ["sites", ANY, "routes", ANY, inner @ ..] | ["routes", ANY, inner @ ..] => {
            (Some("a route"), inner)
        }
        ["sites", ANY, inner @ ..] => (Some("a site"), inner),
        inner => (None, inner),
    };
    match (owner, inner) {
        (Some(owner), []) => owner.to_owned(),
        (Some(owner), inner) => format!("`{}` of {owner}", inner.join(".")),
        (None, ["issuers"]) => "`[[issuers]]`".to_owned(),
        (None, inner) if is_whole_file => format!("`[{}]`", inner.join(".")),
        (None, inner) => format!("`{}`", inner.join(".")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> &'static [Key] {
        let key = PROXYFILE.iter().find(|key| key.name == name);
        key.unwrap().kind.keys()
    }

    #[test]
    fn a_known_key_in_the_wrong_table_names_its_table() {
        for (key, here, hint) in [
            (
                "email",
                SITE,
                "it stands at the top of the file, above all tables; move it there",
            ),
            (
                "insecure",
                SITE,
                "it stands in `upstream-options.tls`; move it there",
            ),
            (
                "insecure",
                PROXYFILE,
                "it stands in `[upstreams.tls]`; move it there",
            ),
            ("strip-prefix", SITE, "it stands in a route; move it there"),
            ("hsts", PROXYFILE, "it stands in a site; move it there"),
            (
                "tls",
                PROXYFILE,
                "it stands in `[upstreams]` or a site; move it there",
            ),
            (
                "http",
                PROXYFILE,
                "it stands in `[listen]` or a site; move it there",
            ),
            ("head-size", SITE, "it stands in `limits`; move it there"),
            (
                "drain-timeout",
                SITE,
                "it stands in `[limits]`; move it there",
            ),
            (
                "idle-timeout",
                PROXYFILE,
                "it stands in `[limits]` or `[upstreams]`; move it there",
            ),
            (
                "key-type",
                PROXYFILE,
                "it stands in `[[issuers]]`; move it there",
            ),
        ] {
            assert_eq!(KeyHint::of(key, here).to_string(), hint, "{key}");
        }
    }

    #[test]
    fn a_common_word_in_a_small_table_is_not_sent_elsewhere() {
        let maintenance = SITE.iter().find(|key| key.name == "maintenance").unwrap();
        let hint = KeyHint::of("file", maintenance.kind.keys()).to_string();
        assert_eq!(hint, "known here: `page`, `retry-after`");
    }

    #[test]
    fn a_key_that_is_cut_or_misspelled_gets_a_suggestion() {
        for (key, here, hint) in [
            ("timeout", SITE, "did you mean `request-timeout`?"),
            ("proxy", table("upstreams"), "did you mean `send-proxy`?"),
            ("Storage", PROXYFILE, "did you mean `storage`?"),
            ("upstreams", SITE, "did you mean `upstream`?"),
            (
                "timeout",
                table("upstreams"),
                "did you mean `connect-timeout` or `response-timeout` or `idle-timeout` or `queue-timeout`?",
            ),
        ] {
            assert_eq!(KeyHint::of(key, here).to_string(), hint, "{key}");
        }
    }
}
