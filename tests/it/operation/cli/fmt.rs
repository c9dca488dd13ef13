//! `proxy fmt`: formatted files keep their meaning.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use proxy::config::{Config, Flags, format_proxyfile};
use tempfile::TempDir;

const UNTIDY: &str =
    "# mine\nstorage=\"file:/data\"\n[sites]\n\"localhost\"=\"3000\"   # the app\n";
const TIDY: &str =
    "# mine\nstorage = \"file:/data\"\n\n[sites]\n\"localhost\" = \"3000\" # the app\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The example as it is, and with all its settings uncommented.
fn examples() -> [String; 2] {
    let text = fs::read_to_string(root().join("Proxyfile.example")).unwrap();
    let lines = text
        .lines()
        .map(|line| line.strip_prefix("#| ").unwrap_or(line));
    let whole = lines.collect::<Vec<_>>().join("\n");
    [text, whole]
}

fn fmt(text: &str) -> String {
    format_proxyfile(Path::new("Proxyfile"), text).unwrap()
}

fn config(text: &str) -> String {
    let path = root().join("Proxyfile.example");
    let config = Config::from_proxyfile(&path, text, &Flags::default());
    format!("{:?}", config.unwrap())
}

#[test]
fn a_formatted_file_means_the_same() {
    for text in examples() {
        let squeezed = text.replace(" = ", "=").replace(", ", " ,");
        for text in [text, squeezed] {
            assert_eq!(config(&fmt(&text)), config(&text));
        }
    }
}

#[test]
fn the_example_is_formatted() {
    let [text, _] = examples();
    assert_eq!(fmt(&text), text);
}

#[test]
fn formatting_is_stable_and_keeps_the_files_own_mistakes() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("tests/fixtures/proxyfiles")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let Ok(document) = text.parse::<toml::Table>() else {
            continue;
        };
        let formatted = fmt(&text);
        assert_eq!(formatted.parse::<toml::Table>().unwrap(), document);
        assert_eq!(fmt(&formatted), formatted);
        count += 1;
    }
    assert!(count > 8, "only {count}");
}

/// A folder with a Proxyfile that only its owner reads.
fn folder(text: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("Proxyfile");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    dir
}

fn text_in(dir: &TempDir) -> String {
    fs::read_to_string(dir.path().join("Proxyfile")).unwrap()
}

fn run(dir: &TempDir, args: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_proxy"))
        .arg("fmt")
        .args(args)
        .current_dir(dir.path())
        .env_remove("PROXY_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // With a file name the command may end before it reads standard input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_file_is_replaced_with_its_permissions_and_once_only() {
    let dir = folder(UNTIDY);
    let (code, out, _) = run(&dir, &[], "");
    assert_eq!((code, out.as_str()), (Some(0), "Proxyfile formatted\n"));
    assert_eq!(text_in(&dir), TIDY);
    let path = dir.path().join("Proxyfile");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
    let (_, out, _) = run(&dir, &["Proxyfile"], "");
    assert_eq!(out, "Proxyfile is already formatted\n");
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn a_symbolic_link_still_points_to_the_formatted_file() {
    let dir = folder(UNTIDY);
    symlink("Proxyfile", dir.path().join("link")).unwrap();
    run(&dir, &["link"], "");
    assert_eq!(text_in(&dir), TIDY);
    assert!(dir.path().join("link").is_symlink());
}

#[test]
fn a_check_changes_nothing_and_names_the_file() {
    let dir = folder(UNTIDY);
    let (code, _, err) = run(&dir, &["--check"], "");
    assert_eq!(code, Some(1));
    assert_eq!(err, "Proxyfile is not formatted; run `proxy fmt` on it\n");
    assert_eq!(text_in(&dir), UNTIDY);
    let dir = folder(TIDY);
    assert_eq!(
        run(&dir, &["--check"], ""),
        (Some(0), String::new(), String::new())
    );
}

#[test]
fn a_file_that_cannot_be_parsed_is_left_unchanged_and_reported_with_its_place() {
    let broken = "a=1\nb = \"\n";
    let dir = folder(broken);
    for args in [&[][..], &["--check"]] {
        let (code, out, err) = run(&dir, args, "");
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(err.starts_with("Proxyfile:2:"), "{err}");
    }
    assert_eq!(text_in(&dir), broken);
    let (code, _, err) = run(&dir, &["missing"], "");
    assert_eq!(code, Some(2));
    assert!(err.contains("cannot read missing"), "{err}");
}

#[test]
fn standard_input_goes_to_standard_output() {
    let dir = folder(UNTIDY);
    assert_eq!(
        run(&dir, &["-"], UNTIDY),
        (Some(0), TIDY.to_owned(), String::new())
    );
    let (code, out, err) = run(&dir, &["--check", "-"], UNTIDY);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("standard input is not formatted"), "{err}");
    assert_eq!(text_in(&dir), UNTIDY);
}

#[test]
fn only_a_single_regular_file_is_replaced() {
    let dir = folder(UNTIDY);
    let path = dir.path().join("Proxyfile");
    fs::hard_link(&path, dir.path().join("other")).unwrap();
    let (code, _, err) = run(&dir, &[], "");
    assert_eq!(code, Some(2));
    let said = "Proxyfile has 2 hard links, and the other names would keep the old text; \
                run `proxy fmt - < Proxyfile` and write its output to the file\n";
    assert_eq!(err, said);
    assert_eq!(text_in(&dir), UNTIDY);

    let pipe = dir.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    // Otherwise opening it would wait for a writer.
    let _writer = fs::OpenOptions::new().read(true).write(true).open(&pipe);
    let (code, _, err) = run(&dir, &["pipe"], "");
    assert_eq!(code, Some(2));
    assert_eq!(
        err,
        "pipe is not a regular file; format its content with `proxy fmt - < pipe`\n"
    );
}

#[test]
fn of_many_mistakes_the_first_hundred_are_reported() {
    let text = "a = x\n".repeat(5000);
    let dir = folder(&text);
    let (code, _, err) = run(&dir, &[], "");
    assert_eq!(code, Some(2));
    let lines: Vec<_> = err.lines().collect();
    assert_eq!(lines.len(), 101, "{err}");
    assert!(lines[99].starts_with("Proxyfile:100:"), "{}", lines[99]);
    let last = "Proxyfile: 4900 more syntax errors are not shown; fix these first";
    assert_eq!(lines[100], last);
}
