//! Valid and invalid Proxyfiles, with the exact messages about each.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use proxy::config::{Config, Flags, Key, Kind, PROXYFILE, SiteAction};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/proxyfiles")
}

#[test]
fn every_bad_proxyfile_gets_all_its_problems_with_their_places_and_fixes() {
    let mut count = 0;
    for entry in fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let name = Path::new(path.file_name().unwrap());
        let expected = fs::read_to_string(path.with_extension("expected")).unwrap();
        let told = Config::from_proxyfile(name, &text, &Flags::default())
            .unwrap_err()
            .to_string();
        assert_eq!(told, expected.trim_end(), "{}", name.display());
        count += 1;
    }
    assert!(count >= 8, "only {count} fixtures");
}

#[test]
fn the_example_is_valid_as_it_stands() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Proxyfile.example");
    let text = fs::read_to_string(&path).unwrap();
    let config = Config::from_proxyfile(&path, &text, &Flags::default()).unwrap();
    assert!(config.sites.len() > 3);
}

#[test]
fn every_recipe_is_a_valid_proxyfile() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes.md");
    let page = fs::read_to_string(page).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cookie.key"), "0123456789abcdef").unwrap();
    let recipes = page.split("```toml\n").skip(1);
    let recipes: Vec<_> = recipes.filter_map(|it| it.split("```").next()).collect();
    for recipe in &recipes {
        let path = folder.path().join("Proxyfile");
        let config = Config::from_proxyfile(&path, recipe, &Flags::default());
        let config = config.unwrap_or_else(|error| panic!("{error}\n{recipe}"));
        assert!(!config.sites.is_empty());
    }
    assert!(recipes.len() >= 10, "only {} recipes", recipes.len());
}

/// The example with all its settings uncommented.
fn whole_example() -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Proxyfile.example");
    let text = fs::read_to_string(&path).unwrap();
    let lines = text
        .lines()
        .map(|line| line.strip_prefix("#| ").unwrap_or(line));
    let whole = lines.collect::<Vec<_>>().join("\n");
    assert!(whole != text.trim_end());
    (path, whole)
}

#[test]
fn every_setting_of_the_example_is_also_valid() {
    let (path, text) = whole_example();
    let config = Config::from_proxyfile(&path, &text, &Flags::default()).unwrap();
    assert_eq!(config.issuers.len(), 2);
}

/// Keys of all tables of a document, table by table.
fn keys_of_tables(value: &toml::Value, keys: &mut Vec<HashSet<String>>) {
    match value {
        toml::Value::Table(table) => {
            keys.push(table.keys().cloned().collect());
            table.values().for_each(|value| keys_of_tables(value, keys));
        }
        toml::Value::Array(values) => {
            values.iter().for_each(|value| keys_of_tables(value, keys));
        }
        _ => (),
    }
}

#[test]
fn the_example_shows_every_key_that_there_is() {
    let (path, text) = whole_example();
    let mut shown = Vec::new();
    let document: toml::Table = text.parse().unwrap();
    keys_of_tables(&document.into(), &mut shown);
    // An unknown key in each table makes the program list the keys that it knows.
    let spoiled = text
        .replace("]\n", "]\nzzz = 0\n")
        .replace("{ ", "{ zzz = 0, ");
    let spoiled = format!("zzz = 0\n{spoiled}");
    let told = Config::from_proxyfile(&path, &spoiled, &Flags::default()).unwrap_err();
    let told = told.to_string();
    let known = told.lines().filter_map(|line| {
        let (_, keys) = line.split_once("unknown key `zzz`; known here: `")?;
        let keys = keys.trim_end_matches('`').split("`, `");
        Some(keys.map(str::to_owned).collect::<HashSet<_>>())
    });
    let known: Vec<_> = known.collect();
    assert!(known.len() > 12, "{told}");
    for keys in known {
        let alike = shown.iter().filter(|shown| shown.is_subset(&keys));
        let shown: HashSet<_> = alike.flatten().cloned().collect();
        let missing: Vec<_> = keys.difference(&shown).collect();
        assert!(missing.is_empty(), "not in the example: {missing:?}");
    }
}

/// Notes the keys of a value of this kind, by name and sentence. Each of them must be known.
fn note_keys(value: &toml::Value, kind: &Kind, noted: &mut HashSet<(&str, &str)>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                if let Some(key) = kind.keys().iter().find(|key| key.name == *name) {
                    noted.insert((key.name, key.doc));
                    note_keys(value, &key.kind, noted);
                } else {
                    let entry = kind.entry();
                    note_keys(value, entry.unwrap_or_else(|| panic!("{name}")), noted);
                }
            }
        }
        toml::Value::Array(values) => {
            let element = kind.element().unwrap_or_else(|| panic!("{values:?}"));
            values
                .iter()
                .for_each(|value| note_keys(value, element, noted));
        }
        _ => (),
    }
}

/// All keys of tables of this kind, and of the tables inside them.
fn keys_of(kind: &'static Kind) -> Vec<&'static Key> {
    let inner = kind.keys().iter().map(|key| &key.kind);
    let inner = inner.chain(kind.element()).chain(kind.entry());
    kind.keys().iter().chain(inner.flat_map(keys_of)).collect()
}

const FILE: &Kind = &Kind::Table(PROXYFILE);

#[test]
fn the_example_shows_every_key_of_the_table_of_keys_and_no_other() {
    let document: toml::Table = whole_example().1.parse().unwrap();
    let mut shown = HashSet::new();
    note_keys(&document.into(), FILE, &mut shown);
    for key in keys_of(FILE) {
        assert!(shown.contains(&(key.name, key.doc)), "{key:?}");
    }
}

#[test]
fn every_key_has_a_sentence_and_an_example_of_its_kind() {
    let keys = keys_of(FILE);
    assert!(keys.len() > 100, "{}", keys.len());
    for key in keys {
        assert!(key.doc.trim().ends_with('.'), "{key:?}");
        let example = format!("{} = {}", key.name, key.example);
        let example: toml::Table = example.parse().unwrap();
        let inner = Kind::Table(std::slice::from_ref(key));
        note_keys(&example.into(), &inner, &mut HashSet::new());
    }
}

#[test]
fn flags_win_over_the_file_and_paths_start_at_its_folder() {
    let text = r#"
        storage = "file:data"
        email = "file@example.org"
        [[issuers]]
        directory = "https://ca.example.com/dir"
        root = "ca.pem"
        [listen]
        http = 8080
        https = 8443
        [sites]
        "www.example.org" = { upstream = "localhost:443", tls = { cert = "c.pem", key = "/k.pem" } }
    "#;
    let flags = Flags {
        email: Some("flag@example.org".to_owned()),
        listen_https: vec!["127.0.0.1:0".to_owned()],
        acme_directory: Some("letsencrypt-staging".to_owned()),
        ..Flags::default()
    };
    let plain = Config::from_proxyfile(Path::new("/etc/proxy/Proxyfile"), text, &Flags::default());
    let plain = plain.unwrap();
    let config = Config::from_proxyfile(Path::new("/etc/proxy/Proxyfile"), text, &flags).unwrap();

    assert_eq!(config.storage.to_string(), "file:/etc/proxy/data");
    assert_eq!(config.listen.http[0].address.to_string(), "[::]:8080");
    assert_eq!(config.listen.https[0].address.to_string(), "127.0.0.1:0");
    let issuer = &config.issuers[0];
    assert_eq!(issuer.email.as_deref(), Some("flag@example.org"));
    assert!(issuer.directory.as_str().contains("staging"));
    assert_eq!(issuer.root, None, "the root belongs to the file's own CA");
    assert_eq!(
        plain.issuers[0].root.as_deref(),
        Some(Path::new("/etc/proxy/ca.pem"))
    );
    let tls = config.sites[0].tls.as_ref().unwrap();
    assert_eq!(tls.cert, Path::new("/etc/proxy/c.pem"));
    assert_eq!(tls.key, Path::new("/k.pem"));
}

#[test]
fn a_site_narrows_the_deadlines_of_all_upstreams() {
    let text = r#"
        storage = "file:/data"
        [upstreams]
        connect-timeout = "1s"
        response-timeout = "2s"
        [sites]
        "a.example.org" = { upstream = "localhost:3000", upstream-options = { response-timeout = "5m" } }
    "#;
    let config = Config::from_proxyfile(Path::new("Proxyfile"), text, &Flags::default()).unwrap();
    let SiteAction::Upstream { options, .. } = &config.sites[0].routes[0].action else {
        panic!("{:?}", config.sites[0]);
    };
    let seconds = [
        options.connect_timeout,
        options.response_timeout.unwrap(),
        options.idle_timeout,
    ]
    .map(|timeout| timeout.as_secs());
    assert_eq!(seconds, [1, 300, 4]);
}
