//! What the program says about itself: version, completions, manual pages, and the schema of a Proxyfile.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

const PROXY: &str = env!("CARGO_BIN_EXE_proxy");

fn run(args: &[&str]) -> Output {
    let output = Command::new(PROXY).args(args).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {err}");
    output
}

fn said(args: &[&str]) -> String {
    String::from_utf8(run(args).stdout).unwrap()
}

#[test]
fn the_version_is_one_line_and_verbose_says_what_it_was_built_from() {
    let short = format!("proxy {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(&["--version"]), short);
    assert_eq!(said(&["-V"]), short);
    let long = said(&["--version", "--verbose"]);
    let rest = long.strip_prefix(&short).unwrap();
    for line in [
        "commit",
        "compiler     rustc 1.",
        "target",
        "protocols",
        "TLS          rustls 0.",
        "aws-lc-rs 1.",
    ] {
        assert!(rest.contains(line), "{line}: {long}");
    }
    let alone = Command::new(PROXY).arg("--verbose").output().unwrap();
    assert_eq!(alone.status.code(), Some(2));
}

#[test]
fn each_shell_gets_completions_of_commands_and_flags() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = said(&["completions", shell]);
        for word in ["certs", "upstream", "reload", "man"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let script = said(&["completions", "bash"]);
    let checked = Command::new("bash").args(["-n", "-c", &script]).status();
    assert!(checked.unwrap().success());
}

#[test]
fn each_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("share/man/man1");
    run(&["man", folder.to_str().unwrap()]);
    for command in [
        "",
        "-run",
        "-check",
        "-reload",
        "-stop",
        "-status",
        "-certs",
        "-certs-renew",
        "-demo",
    ] {
        let page = folder.join(format!("proxy{command}.1"));
        let page = fs::read_to_string(&page).unwrap_or_else(|_| panic!("{}", page.display()));
        assert!(page.contains(".TH proxy"), "{page}");
        assert!(page.contains("SH SYNOPSIS"), "{page}");
    }
    let file = folder.join("proxy.1");
    let refused = Command::new(PROXY).arg("man").arg(&file).output().unwrap();
    let expected = "give a folder that you may write to: ";
    let err = String::from_utf8(refused.stderr).unwrap();
    assert!(err.contains(expected), "{err}");
    assert_eq!(refused.status.code(), Some(1));
}

/// The schema that the program prints.
struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn printed() -> Self {
        let text: Value = serde_json::from_str(&said(&["schema"])).unwrap();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("proxyfile.json", text).unwrap();
        let index = compiler.compile("proxyfile.json", &mut schemas);
        let index = index.unwrap_or_else(|error| panic!("{error:#}"));
        Self { schemas, index }
    }

    /// Why the text is not valid. Dates of TOML do not occur in Proxyfiles.
    fn objection(&self, text: &str) -> Option<String> {
        let table: toml::Table = text
            .parse()
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        let value = serde_json::to_value(table).unwrap();
        let found = self.schemas.validate(&value, self.index);
        found.err().map(|error| format!("{error:#}"))
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_schema_accepts_the_example_with_all_its_settings_and_every_recipe() {
    let schema = Schema::printed();
    let example = read("Proxyfile.example");
    let whole = example
        .lines()
        .map(|line| line.strip_prefix("#| ").unwrap_or(line));
    let whole = whole.collect::<Vec<_>>().join("\n");
    let recipes = read("docs/recipes.md");
    let recipes = recipes.split("```toml\n").skip(1);
    let recipes = recipes.filter_map(|it| it.split("```").next());
    let packaged = read("packaging/deb/Proxyfile");
    let files = [example.as_str(), &whole, &packaged];
    for text in files.into_iter().chain(recipes) {
        assert_eq!(schema.objection(text), None, "{text}");
    }
}

/// Mistakes of meaning, which a schema cannot see.
const OF_MEANING: [&str; 9] = [
    "addresses",
    "no_sites",
    "open_page",
    "page_token",
    "proxy_protocol",
    "same_listeners",
    "short_page_token",
    "unserved_sites",
    "unused_listeners",
];

#[test]
fn the_schema_refuses_keys_and_kinds_that_the_program_refuses() {
    let schema = Schema::printed();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/proxyfiles");
    let mut accepted = Vec::new();
    let mut refused = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let is_toml = path.extension().is_some_and(|it| it == "toml");
        if !is_toml || text.parse::<toml::Table>().is_err() {
            continue;
        }
        match schema.objection(&text) {
            Some(_) => refused += 1,
            None => accepted.push(path.file_stem().unwrap().to_str().unwrap().to_owned()),
        }
    }
    accepted.sort();
    assert_eq!(accepted, OF_MEANING);
    assert!(refused > 5, "only {refused}");
}
