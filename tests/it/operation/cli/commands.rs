//! The command line: the output and exit code of each command.

#![expect(clippy::unwrap_used, reason = "a surprise ends the test")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode};

use proxy::cli::{Start, Streams, run_with};
use proxy::config::{Config, ConfigFile, SiteAction};

/// Output and exit code of a command.
struct Outcome {
    code: String,
    out: String,
    err: String,
}

fn proxy_with(start: Start, args: &[&str]) -> Outcome {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let streams = Streams {
        out: &mut out,
        err: &mut err,
    };
    let args = ["proxy"].iter().chain(args).map(Into::into);
    let code = run_with(args, streams, start);
    Outcome {
        code: format!("{code:?}"),
        out: String::from_utf8_lossy(&out).into_owned(),
        err: String::from_utf8_lossy(&err).into_owned(),
    }
}

fn proxy(args: &[&str]) -> Outcome {
    let start = |config: Config, _| Err(format!("started {:?}", config.sites).into());
    proxy_with(Box::new(start), args)
}

fn code(code: u8) -> String {
    format!("{:?}", ExitCode::from(code))
}

#[test]
fn without_anything_the_ways_to_start_are_shown() {
    let outcome = proxy(&[]);
    assert_eq!(outcome.code, code(2));
    for way in ["proxy demo", "proxy --upstream", "proxy run --config"] {
        assert!(outcome.err.contains(way), "{}", outcome.err);
    }
}

#[test]
fn quick_mode_starts_with_and_without_its_subcommand() {
    for args in [
        ["--upstream", "3000", "--domain", "www.example.org"].as_slice(),
        &["run", "--upstream", "3000", "--domain", "www.example.org"],
    ] {
        let outcome = proxy(args);
        assert_eq!(outcome.code, code(1));
        assert!(
            outcome.err.starts_with("started [SiteConfig"),
            "{}",
            outcome.err
        );
        assert!(outcome.err.contains("www.example.org"), "{}", outcome.err);
    }
}

#[test]
fn bad_usage_is_explained_and_starts_nothing() {
    for (args, part) in [
        (["--upstream", "3000"].as_slice(), "add `--domain NAME`"),
        (&["--upstrem", "3000"], "'--upstream'"),
        (&["--email", "a@b", "run"], "cannot be used with"),
        (
            &["run", "--config", "P", "--domain", "a.test"],
            "cannot be used with",
        ),
        (
            &["run", "--config", "no/such/file"],
            "cannot read no/such/file",
        ),
        (&["demo", "--listen-http", "8080"], "--listen-http: `8080`"),
        (&["chekc"], "'check'"),
        (&["run", "config"], "unexpected argument 'config'"),
        (
            &["validate"],
            "`validate` is not a command; use `proxy check`\n",
        ),
        (&["start"], "use `proxy run`\n"),
        (&["version"], "use `proxy --version`\n"),
        (&["adapt"], "use `proxy explain`\n"),
        (&["shutdown"], "use `proxy stop`\n"),
        (&["restart"], "use `proxy reload`, `proxy upgrade`, or"),
    ] {
        let outcome = proxy(args);
        assert_eq!(outcome.code, code(2), "{args:?}: {}", outcome.err);
        assert!(outcome.err.contains(part), "{args:?}: {}", outcome.err);
        assert!(outcome.out.is_empty());
    }
}

#[test]
fn check_says_valid_or_lists_all_problems() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Proxyfile");
    let name = file.to_str().unwrap();

    std::fs::write(
        &file,
        "[sites]\n\"a.test\" = \"3000\"\n\"b.test\" = \"3000\"\n",
    )
    .unwrap();
    let outcome = proxy(&["check", "--config", name]);
    assert_eq!((outcome.code, outcome.err.as_str()), (code(0), ""));
    assert_eq!(outcome.out, format!("{name} is valid: 2 sites\n"));

    std::fs::write(&file, "emial = \"\"\n[sites]\n\"a b\" = \"3000\"\n").unwrap();
    let outcome = proxy(&["check", "--config", name]);
    assert_eq!((outcome.code, outcome.out.as_str()), (code(2), ""));
    let lines: Vec<_> = outcome.err.lines().collect();
    assert!(lines[0].starts_with(&format!("{name}:1:1: unknown key")));
    assert!(lines[1].starts_with(&format!("{name}:3:1: `a b` is not a valid site name")));
    assert_eq!(lines.len(), 2);
}

#[test]
fn check_warns_of_names_that_no_public_ca_signs_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Proxyfile");
    let name = file.to_str().unwrap();
    let text = "[sites]\n\"nas.lan\" = \"3000\"\n\"app.example.org\" = \"3000\"\n";
    std::fs::write(&file, text).unwrap();

    let outcome = proxy(&["check", "--config", name]);

    assert_eq!((outcome.code, outcome.err.as_str()), (code(0), ""));
    let lines: Vec<_> = outcome.out.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], format!("{name} is valid: 2 sites"));
    let warning = "warning: no public CA can sign nas.lan, because .lan is reserved; ";
    assert!(lines[1].starts_with(warning), "{}", lines[1]);
    assert!(lines[1].contains("; for a name inside a network, set `issuer = \"internal\"`"));
}

#[test]
fn check_tells_files_and_commands_that_cannot_be_used_beside_all_other_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Proxyfile");
    let name = file.to_str().unwrap();
    std::fs::write(folder.path().join("hook"), "not executable").unwrap();
    let text = r#"on-cert = "gone"
emial = "x"
[sites]
"a.test" = { upstream = "3000", tls = { cert = "c.pem", key = "k.pem" } }
"b.example.org" = { upstream = "3000", dns = { exec = "hook" }, error-pages = { 502 = "502.html" } }
"c.test" = { upstream = "https://localhost:3000", upstream-options = { tls = { root = "r.pem" } } }
"d.test" = { files = "www", client-auth = "clients.pem", maintenance = "closed.html" }
"#;
    std::fs::write(&file, text).unwrap();
    let mut told = proxy(&["check", "--config", name]).err;
    told = told.replace(&format!("{name}:"), "");
    let places: Vec<_> = told
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    let expected = [
        "1:11", "2:1", "4:48", "4:63", "5:55", "5:87", "6:87", "7:22", "7:43", "7:72",
    ];
    assert_eq!(places, expected, "{told}");
    assert!(
        told.contains("the command ") && told.contains(" does not exist; create it"),
        "{told}"
    );
    assert!(told.contains("/hook is not an executable file"), "{told}");
}

fn write_pair(folder: &Path, name: &str) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["files.test".to_owned()]).unwrap();
    let cert = params.self_signed(&key).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), cert.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

#[test]
fn check_reads_the_certificate_files_of_a_site() {
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path(), "one");
    write_pair(folder.path(), "two");
    std::fs::write(
        folder.path().join("bad.key"),
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n",
    )
    .unwrap();
    let file = folder.path().join("Proxyfile");
    for (cert, key, part) in [
        ("one.pem", "one.key", ""),
        ("one.pem", "two.key", "do not match"),
        ("one.pem", "none.key", "No such file"),
        ("one.pem", "bad.key", "damaged"),
        ("one.key", "one.key", "there is no certificate in it"),
    ] {
        let site = format!(
            "[sites.\"files.test\"]\nupstream = \"3000\"\ntls = {{ cert = \"{cert}\", key = \"{key}\" }}\n"
        );
        std::fs::write(&file, site).unwrap();
        let outcome = proxy(&["check", "--config", file.to_str().unwrap()]);
        assert_eq!(
            outcome.code,
            code(if part.is_empty() { 0 } else { 2 }),
            "{}",
            outcome.err
        );
        assert!(outcome.err.contains(part), "{part}: {}", outcome.err);
        assert!(
            !outcome.err.contains("c2VjcmV0"),
            "a key's text was printed"
        );
        assert!(outcome.err.lines().count() <= 1, "{}", outcome.err);
    }
}

#[test]
fn explain_shows_flags_over_defaults() {
    let outcome = proxy(&[
        "explain",
        "--upstream",
        "3000",
        "--domain",
        "localhost",
        "--listen-http",
        "8080",
        "--storage",
        "file:/data",
    ]);
    assert_eq!(outcome.code, code(0), "{}", outcome.err);
    let lines: Vec<_> = outcome
        .out
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for line in [
        "http = \"[::]:8080\" # flag",
        "https = \"[::]:443\" # default",
        "[sites.\"localhost\"]",
    ] {
        assert!(
            lines.iter().any(|found| found == line),
            "{line}\n{}",
            outcome.out
        );
    }
}

#[test]
fn explain_shows_how_tls_backends_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Proxyfile");
    let text = "[upstreams]\ntls = { sni = \"app.internal\" }\n\
        [sites.\"a.test\"]\nupstream = \"https://app\"\n\
        [sites.\"a.test\".routes]\n\"/plain\" = \"app:1\"\n\
        \"/any\" = { upstream-options = { tls = { insecure = true } } }\n";
    std::fs::write(&file, text).unwrap();
    let outcome = proxy(&["explain", "--config", file.to_str().unwrap()]);
    assert_eq!(outcome.code, code(0), "{}", outcome.err);
    let shown = outcome.out.lines().filter(|line| line.contains("tls = {"));
    let shown: Vec<_> = shown
        .map(|line| &line[line.find("tls = {").unwrap()..])
        .collect();
    assert_eq!(shown.len(), 2, "{}", outcome.out);
    assert!(shown[0].starts_with("tls = { sni = \"app.internal\" } "));
    assert_eq!(shown[1], "tls = { insecure = true } }");
}

#[test]
fn explain_does_not_print_header_values_that_may_be_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Proxyfile");
    let text = "[sites.\"a.test\"]\nupstream = \"app:1\"\n\
        request-headers = { set = { Authorization = \"Bearer hush\", X-A = \"1\" }, add = { Private-Token = \"hush\" } }\n\
        response-headers = { set = { X-Vault-Token = \"hush\" } }\n";
    std::fs::write(&file, text).unwrap();
    let outcome = proxy(&["explain", "--config", file.to_str().unwrap()]);
    assert_eq!(outcome.code, code(0), "{}", outcome.err);
    for line in [
        "# request-headers: the value of authorization is not shown\n",
        "# request-headers: the value of private-token is not shown\n",
        "# response-headers: the value of x-vault-token is not shown\n",
        "request-headers = { set = { x-a = \"1\" } }\n",
    ] {
        assert!(outcome.out.contains(line), "{line}{}", outcome.out);
    }
    assert!(!outcome.out.contains("hush"), "{}", outcome.out);
    assert!(
        !outcome.out.contains("\nresponse-headers"),
        "{}",
        outcome.out
    );
}

#[test]
fn every_setting_has_an_environment_variable() {
    let output = Command::new(env!("CARGO_BIN_EXE_proxy"))
        .arg("explain")
        .env_clear()
        .env("PROXY_UPSTREAM", "app-1:80,app-2:80")
        .env("PROXY_DOMAIN", "www.example.org,example.org")
        .env("PROXY_STAGING", "1")
        .env("PROXY_STORAGE", "file:/data")
        .env("PROXY_LOG_FORMAT", "json")
        .env("PROXY_EMAIL", "")
        .env("PROXY_ACME_ROOT", "")
        .output()
        .unwrap();
    let listing = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for part in [
        "upstream = [\"app-1:80\", \"app-2:80\"]",
        "[sites.\"example.org\"]",
        "acme-staging-v02",
        "storage = \"file:/data\"",
        "format = \"json\"",
        "# email: not set",
    ] {
        assert!(listing.contains(part), "{part}\n{listing}");
    }
}

/// Stands in for the proxy: sends a request to the demo's app.
fn visit_app(config: Config, _: Option<ConfigFile>) -> Result<(), Box<dyn Error>> {
    let SiteAction::Upstream { addresses, .. } = &config.sites[0].routes[0].action else {
        return Err("no upstream".into());
    };
    let mut app = TcpStream::connect(addresses[0].to_string())?;
    app.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut page = String::new();
    app.read_to_string(&mut page)?;
    let ports = [&config.listen.http, &config.listen.https].map(|it| it[0].address.port());
    match page.contains("It works") && !ports.contains(&0) {
        true => Ok(()),
        false => Err(page.into()),
    }
}

#[test]
fn the_demo_starts_its_app_and_prints_the_line_to_try() {
    let args = [
        "demo",
        "--listen-http",
        "127.0.0.1:0",
        "--listen-https",
        "127.0.0.1:0",
        "--storage",
        "file:/d x",
    ];
    let outcome = proxy_with(Box::new(visit_app), &args);
    assert_eq!((outcome.code, outcome.err.as_str()), (code(0), ""));
    assert!(
        outcome
            .out
            .contains("curl --cacert '/d x/internal-ca/root.pem' https://localhost:"),
        "{}",
        outcome.out
    );
    for part in [
        "`proxy trust --storage 'file:/d x'`",
        "is in /d x; `proxy demo --storage file:DIR` uses another folder",
    ] {
        assert!(outcome.out.contains(part), "{}", outcome.out);
    }
}

#[test]
fn a_busy_port_is_an_error_that_names_the_fix() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let outcome = proxy(&[
        "demo",
        "--listen-http",
        "127.0.0.1:0",
        "--listen-https",
        &address,
    ]);
    assert_eq!(outcome.code, code(1));
    let sentence = format!(
        "cannot listen on {address}; give the demo another address: `proxy demo --listen-https 127.0.0.1:0`: "
    );
    assert!(outcome.err.starts_with(&sentence), "{}", outcome.err);
}
