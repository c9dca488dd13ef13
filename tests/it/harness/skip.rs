//! Tests that are skipped because a peer cannot serve them.

use std::fs::OpenOptions;
use std::io::Write;

/// Reports that the running test, or the rest of it, is skipped and why; also in the file that `SKIPS` names.
#[allow(clippy::print_stderr, reason = "a skip is to be seen")]
pub(crate) fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    eprintln!("skipped: {test}: {why}");
    if let Some(file) = std::env::var_os("SKIPS") {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .unwrap();
        writeln!(file, "{test}: {why}").unwrap();
    }
}
