//! Trees that break one rule each, and some that look as if they did.

use super::check;
use super::source::Source;

fn complaints(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<_> = files
        .iter()
        .map(|(path, text)| Source::new(path, text))
        .collect();
    check(&sources)
}

fn assert_complaint(files: &[(&str, &str)], complaint: &str) {
    let complaints = complaints(files).join("\n");
    assert!(
        complaints.contains(complaint),
        "{complaint}: {complaints:?}"
    );
}

#[test]
fn every_rule_about_one_file_can_be_broken() {
    let long = format!("//! Long.\n{}", "use std::io;\n".repeat(400));
    for (path, text, complaint) in [
        (
            "acme/order.rs",
            "//! O.\nuse crate::storage::Storage;\n",
            "src/acme/order.rs:2: `acme` must not import `storage`",
        ),
        (
            "tls/accept.rs",
            "//! A.\nuse crate::{\n    certs::{A, B},\n    proxy::C,\n};\n",
            "src/tls/accept.rs:4: `tls` must not import `proxy`",
        ),
        (
            "proxy/route.rs",
            "//! R.\nfn f() -> crate::config::Config {}\n",
            "src/proxy/route.rs:2: `proxy` must not import `config`",
        ),
        (
            "proxy/route.rs",
            "//! R.\nconst A: &str = \"https://\";\nuse crate::config::Config;\n",
            "src/proxy/route.rs:3: `proxy` must not import `config`",
        ),
        (
            "server/accept.rs",
            "//! A.\nuse crate::certs::CertManager;\n",
            "only the http-01 table",
        ),
        (
            "cache/mod.rs",
            "//! C.\n",
            "`cache` is a room that the table of edges does not know",
        ),
        (
            "tls/mod.rs",
            "//! T.\nmod accept;\n\npub fn accept() {}\n",
            "src/tls/mod.rs:4: a face holds",
        ),
        ("tls/utils.rs", "//! U.\n", "the name says nothing"),
        ("tls/common/a.rs", "//! A.\n", "the name says nothing"),
        ("tls/accept.rs", "use std::io;\n", "a file opens with `//!`"),
        ("tls/accept.rs", long.as_str(), "at most 400 lines"),
        (
            "tls/accept.rs",
            "//! A.\nfn f() { tokio::spawn(g()); }\n",
            "src/tls/accept.rs:2: only tasks.rs spawns",
        ),
    ] {
        assert_complaint(&[(path, text)], complaint);
    }
}

#[test]
fn every_rule_about_sub_rooms_can_be_broken() {
    let face = "//! P.\npub mod error;\npub mod routing;\n";
    let router = ("proxy/routing/router.rs", "//! R.\npub struct Router;\n");
    for error in [
        "//! E.\nuse crate::proxy::routing::Router;\n",
        "//! E.\nuse super::routing::{Router as R};\n",
        "//! E.\nfn f(_: super::routing::Router) {}\n",
    ] {
        let files = [
            ("proxy/mod.rs", face),
            ("proxy/error.rs", error),
            (
                "proxy/routing/mod.rs",
                "//! R.\nmod router;\npub use router::Router;\n",
            ),
            router,
        ];
        assert_complaint(
            &files,
            "src/proxy/error.rs:2: in `proxy`, `error` must not import `routing`",
        );
    }
    assert_complaint(
        &[("proxy/trips.rs", "//! T.\n")],
        "`trips` is a sub-room that the table of sub-rooms does not know",
    );
}

#[test]
fn a_folder_can_hold_too_many_files() {
    let paths: Vec<_> = (0..17).map(|n| format!("tls/f{n}.rs")).collect();
    let mut files: Vec<_> = paths
        .iter()
        .map(|path| (path.as_str(), "//! F.\n"))
        .collect();
    assert_complaint(&files, "src/tls: 17 files beside each other");
    files[0].0 = "tls/mod.rs";
    assert_eq!(complaints(&files), Vec::<String>::new());
}

#[test]
fn files_can_import_each_other_in_a_circle() {
    let face = "//! T.\nmod a;\nmod inner;\npub use a::A;\npub use inner::{B as C};\n";
    let inner = "//! I.\nmod b;\npub(super) use b::B;\n";
    for (a, b) in [
        // Straight.
        ("use super::inner::B;", "use super::super::a::A;"),
        // Through the faces, under another name too.
        ("use crate::tls::C;", "use crate::tls::A;"),
        // Written out.
        ("fn f(_: super::inner::B) {}", "fn f(_: crate::tls::A) {}"),
        // By the name of a module.
        (
            "use super::inner;\nfn f(_: inner::B) {}",
            "use crate::tls;\nfn f(_: tls::A) {}",
        ),
        // In a group.
        ("use super::{inner::{B}};", "use crate::{tls::{self, A}};"),
    ] {
        let (a, b) = (format!("//! A.\n{a}\n"), format!("//! B.\n{b}\n"));
        let files = [
            ("tls/mod.rs", face),
            ("tls/a.rs", a.as_str()),
            ("tls/inner/mod.rs", inner),
            ("tls/inner/b.rs", b.as_str()),
            ("lib.rs", "//! L.\npub mod tls;\n"),
        ];
        assert_complaint(
            &files,
            "2 files in all: tls/a.rs -> tls/inner/b.rs -> tls/a.rs",
        );
    }
}

#[test]
fn what_is_allowed_stays_silent() {
    for (path, text) in [
        (
            "server/plain_http.rs",
            "//! S.\nuse crate::certs::Http01Table;\nuse crate::tls::accept;\n",
        ),
        (
            "tls/mod.rs",
            "//! T.\n\n#[cfg(test)]\nmod memory;\nmod accept;\n\npub use accept::{\n    Accept,\n    Acceptor,\n};\n",
        ),
        (
            "tls/accept.rs",
            "//! A.\n// crate::proxy\n#[cfg(test)]\nmod tests {\n    use crate::proxy::C;\n}\n",
        ),
        (
            "tls/accept.rs",
            "//! A.\nconst A: &str = \"crate::proxy::C \\\" crate::proxy::C\";\nconst B: &str = r#\"crate::proxy::C\"#;\n\
             fn c<'a>(_: &'a str) -> char { '\"' }\n#[cfg(test)]\npub(crate) use crate::proxy::C;\n",
        ),
    ] {
        assert_eq!(complaints(&[(path, text)]), Vec::<String>::new(), "{path}");
    }
}
