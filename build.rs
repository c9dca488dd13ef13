//! Tells the program when it was built, so that it can recognize a clock that is far behind, and from what it was built, for
//! `proxy --version --verbose`.

use std::env;
use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-env-changed=PROXY_COMMIT");
    println!("cargo::rustc-env=BUILD_EPOCH={}", build_time());
    let given = env::var("PROXY_COMMIT").ok().filter(|it| !it.is_empty());
    let commit = given.unwrap_or_else(commit);
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let compiler = said(&rustc, &["--version"]);
    let target = env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo::rustc-env=BUILD_COMMIT={commit}");
    println!("cargo::rustc-env=BUILD_COMPILER={}", or_unknown(compiler));
    println!("cargo::rustc-env=BUILD_TARGET={target}");
    println!("cargo::rustc-env=BUILD_TLS={}", tls_libraries());
}

/// The time of the build, in seconds since 1970.
fn build_time() -> u64 {
    let given = env::var("SOURCE_DATE_EPOCH").ok();
    let given = given.and_then(|text| text.parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    given.unwrap_or_else(|| now.unwrap_or_default().as_secs())
}

/// The commit that is built. A build for development does not look for it, because each commit would then compile the whole
/// program again.
fn commit() -> String {
    if env::var("PROFILE").is_ok_and(|profile| profile == "debug") {
        return "unknown (a build for development)".to_owned();
    }
    if let Some(log) = said("git", &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    or_unknown(said(
        "git",
        &["describe", "--always", "--dirty", "--abbrev=12"],
    ))
}

fn or_unknown(text: Option<String>) -> String {
    text.unwrap_or_else(|| "unknown".to_owned())
}

/// The output of a command, if it succeeds and says something.
fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

/// The TLS libraries with their versions in Cargo.lock.
fn tls_libraries() -> String {
    let lock = fs::read_to_string("Cargo.lock").unwrap_or_default();
    let version = |name: &str| {
        let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(after.split_once('"')?.0.to_owned())
    };
    ["rustls", "aws-lc-rs"]
        .map(|name| format!("{name} {}", or_unknown(version(name))))
        .join(", ")
}
