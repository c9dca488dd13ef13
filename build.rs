//! Tells the program when it was built, so that it can recognize a clock that is far behind.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok();
    let given = given.and_then(|text| text.parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = given.unwrap_or_else(|| now.unwrap_or_default().as_secs());
    println!("cargo::rustc-env=BUILD_EPOCH={seconds}");
}
