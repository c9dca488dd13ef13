//! The main purpose, end to end with Pebble: one command gets a certificate and serves it.

use std::process::Command;

use crate::harness::backends::web_app::App;
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::clients::https::Client;
use crate::harness::ports::ProxyPorts;
use crate::harness::proxy::ProxySetup;

const NAME: &str = "www.example.org";

/// Runs curl with these arguments for `NAME` on the proxy's port and returns its output.
async fn curl(root: &std::path::Path, port: u16, args: &[&str]) -> String {
    let resolve = format!("{NAME}:{port}:127.0.0.1");
    let output = tokio::process::Command::from(Command::new("curl"))
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--resolve",
            &resolve,
        ])
        .arg("--cacert")
        .arg(root)
        .args(args)
        .arg(format!("https://{NAME}:{port}/"))
        .output()
        .await
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_ca_signs_local_names_and_explain_says_so() {
    // Given a CA of one's own that validates every name, and no other.
    let app = App::start().await;
    let setup = ProxySetup::new();
    let pebble = Pebble::start(PebbleOptions::trusting()).await;
    let root = setup.file("ca.pem", &pebble.root_pem());
    let names = ["nas.home.arpa", "x.test", "app.localhost"];
    let mut args = vec!["--upstream".to_owned(), app.address.to_string()];
    for name in names {
        args.extend(["--domain".to_owned(), name.to_owned()]);
    }
    let directory = pebble.directory_url().to_string();
    args.extend(["--acme-directory".to_owned(), directory.clone()]);
    args.extend(["--acme-root".to_owned(), root.display().to_string()]);
    let mut proxy = setup.args(&args).start().await;

    for name in names {
        let line = proxy
            .logged(&format!("certificate obtained names={name} "))
            .await;
        assert_eq!(
            line.contains("issuer=\"internal\""),
            name == "app.localhost",
            "{line}"
        );
    }
    let client = Client::new(&pebble.issuance_root().await);
    client.serial(proxy.https(), "nas.home.arpa").await.unwrap();

    let mut command = crate::harness::proxy::command();
    command
        .arg("explain")
        .args(&args)
        .args(["--storage", "file:/data"]);
    let output = command.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        format!("# Certificate: from {directory}, because all issuers are private"),
        "# Certificate: from the internal CA, because the name only leads to this machine"
            .to_owned(),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_gets_a_certificate_and_a_restart_keeps_it() {
    let app = App::start().await;
    let ports = ProxyPorts::reserve();
    let options = PebbleOptions {
        nonce_reject: 20,
        tls_port: ports.https().port(),
        ..PebbleOptions::new(ports.http().port())
    };
    let pebble = Pebble::start(options).await;
    let root_pem = pebble.issuance_root().await;
    let client = Client::new(&root_pem);
    let setup = ProxySetup::on(ports)
        .args(["--upstream", &app.address.to_string(), "--domain", NAME])
        .args(["--email", "ops@example.org"])
        .ca(&pebble.directory_url(), &pebble.root_pem());
    let root = setup.file("root.pem", &root_pem);

    let mut proxy = setup.start().await;
    let account = proxy.logged("account ready").await;
    // Terms of service that were agreed to.
    assert!(account.contains("terms="), "{account}");
    proxy.logged("certificate obtained").await;

    // The client verifies chain, name and time against Pebble's root alone.
    let serial = client.serial(proxy.https(), NAME).await.unwrap();
    assert_eq!(client.get(proxy.https(), NAME, "/").await.body, "hello");
    assert_eq!(client.get2(proxy.https(), NAME, "/").await.body, "hello");
    let port = proxy.https().port();
    for (version, number) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let said = curl(
            &root,
            port,
            &[version, "--write-out", " over %{http_version}"],
        )
        .await;
        assert_eq!(said, format!("hello over {number}"));
    }
    assert_eq!(
        proxy.log().matches("certificate is being obtained").count(),
        1
    );

    let mut proxy = proxy.stop().await.start().await;
    proxy.logged("certificate loaded").await;
    assert_eq!(client.serial(proxy.https(), NAME).await.unwrap(), serial);
    assert!(!proxy.log().contains("being obtained"), "{}", proxy.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_on_demand_is_issued_in_its_first_handshake() {
    let app = App::start().await;
    let ports = ProxyPorts::reserve();
    let pebble = Pebble::start(PebbleOptions::new(ports.http().port())).await;
    let client = Client::new(&pebble.issuance_root().await);
    let proxy = ProxySetup::on(ports)
        .on_demand(&app)
        .ca(&pebble.directory_url(), &pebble.root_pem())
        .start()
        .await;

    for name in ["one.customers.example", "two.customers.example"] {
        let answer = client.get2(proxy.https(), name, "/host").await;
        assert_eq!(answer.body, format!("\"{name}\""));
    }
}
