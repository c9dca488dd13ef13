//! Prometheus' own tool, which checks metrics and rules.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::skip::skip;

/// Runs `promtool` in a folder with this input, and returns its output if it finds something wrong. Skips if there is no
/// `promtool`.
pub(crate) fn complaints(folder: &Path, args: &[&str], input: &str) -> Option<String> {
    let started = Command::new("promtool")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip("there is no promtool; install Debian's package prometheus");
            return None;
        }
        started => started.unwrap(),
    };
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    // It ends with 0 although it has found problems of style.
    let has_lint = !said.is_empty() && args == ["check", "metrics"];
    (has_lint || !output.status.success()).then_some(said)
}
