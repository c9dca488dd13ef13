//! Several listeners, and sites that are served on some of them only.

use std::net::SocketAddr;

use http::Request;
use http_body_util::Full;

use crate::harness::admin::{refused, run, status};
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::clients::https::{Answer, Client, read};
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::deadline::soon;
use crate::harness::ports::ProxyPorts;
use crate::harness::proxy::{Proxy, ProxySetup, command};

/// A proxy with the listeners `default` and `lan`, each for plain HTTP and HTTPS.
struct Scene {
    proxy: Proxy,
    lan_http: SocketAddr,
    lan_https: SocketAddr,
}

/// Sites that answer with their own names, each on these listeners.
const SITES: &str = r#"
[sites]
"localhost" = { respond = { body = "localhost" } }
"nas.localhost" = { respond = { body = "nas" }, listen = ["lan"] }
"both.localhost" = { respond = { body = "both" }, listen = ["default", "lan"] }
"plain.localhost" = { respond = { body = "plain" }, listen = "lan", http = "serve" }
"*.localhost" = { respond = { body = "wide" } }
"#;

/// Returns `[listen]` with these addresses of the default listeners, and free ports of `lan`.
fn listen(http: SocketAddr, https: SocketAddr) -> String {
    let lan = r#"{ name = "lan", address = "127.0.0.1:0" }"#;
    format!("[listen]\nhttp = [\"{http}\", {lan}]\nhttps = [\"{https}\", {lan}]\n")
}

impl Scene {
    async fn start(sites: &str) -> Self {
        let ports = ProxyPorts::reserve();
        let text = listen(ports.http(), ports.https()) + sites;
        let setup = ProxySetup::on(ports).addresses_by_file();
        Self::of(setup.proxyfile(&text).start().await).await
    }

    async fn of(mut proxy: Proxy) -> Self {
        let line = proxy.output("ready http=").await;
        let (http, https) = line
            .trim()
            .strip_prefix("ready http=")
            .and_then(|addresses| addresses.split_once(" https="))
            .unwrap();
        let second = |addresses: &str| -> SocketAddr {
            let (default, lan) = addresses.split_once(',').unwrap();
            assert_ne!(default, lan);
            lan.parse().unwrap()
        };
        Self {
            lan_http: second(http),
            lan_https: second(https),
            proxy,
        }
    }
}

/// Returns how a handshake for this name ends.
async fn handshake(client: &Client, address: SocketAddr, name: &str) -> String {
    let connected = client.connect(address, name).await;
    connected.map_or_else(|error| error.to_string(), |_| "ok".to_owned())
}

/// Sends a request for a host over plain HTTP, and returns the answer without its date.
async fn plain(address: SocketAddr, host: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let answer = ask(address, request).await;
    let lines = answer.lines();
    let lines = lines.filter(|line| !line.to_lowercase().starts_with("date:"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Sends a request for a host over HTTP/2, on a connection whose handshake named another one.
async fn coalesced(client: &Client, address: SocketAddr, sni: &str, host: &str) -> Answer {
    let mut sender = client.http2(address, sni).await;
    let request = Request::get(format!("https://{host}/")).body(Full::default());
    let answer = sender.send_request(request.unwrap()).await;
    read(answer.unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_on_another_listener_ends_as_for_an_unknown_name() {
    let scene = Scene::start(SITES).await;
    let (client, default) = (scene.proxy.client(), scene.proxy.https());
    let unknown = handshake(&client, default, "www.example.org").await;
    assert!(unknown.contains("UnrecognisedName"), "{unknown}");
    for (address, name, expected) in [
        (default, "localhost", "ok"),
        (default, "both.localhost", "ok"),
        (default, "nas.localhost", &unknown),
        (default, "plain.localhost", &unknown),
        (scene.lan_https, "nas.localhost", "ok"),
        (scene.lan_https, "both.localhost", "ok"),
        (scene.lan_https, "localhost", &unknown),
        (scene.lan_https, "x.localhost", &unknown),
    ] {
        let end = handshake(&client, address, name).await;
        assert_eq!(end, *expected, "{address} {name}");
    }
    refused(
        &scene.proxy,
        &[("no-certificate", 1), ("other-listener", 4)],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coalesced_request_for_a_site_of_another_listener_gets_421_as_for_an_unknown_host() {
    let scene = Scene::start(SITES).await;
    let (client, default) = (scene.proxy.client(), scene.proxy.https());
    let unknown = coalesced(&client, default, "both.localhost", "www.example.org").await;
    assert_eq!(unknown.status, 421);
    for (address, sni, host) in [
        (default, "both.localhost", "nas.localhost"),
        (default, "both.localhost", "plain.localhost"),
        (scene.lan_https, "nas.localhost", "localhost"),
        (scene.lan_https, "both.localhost", "x.localhost"),
    ] {
        let answer = coalesced(&client, address, sni, host).await;
        assert_eq!(answer.status, unknown.status, "{sni} {host}");
        assert_eq!(answer.body, unknown.body, "{sni} {host}");
    }
    for (address, host, body) in [
        (default, "both.localhost", "both"),
        (scene.lan_https, "both.localhost", "both"),
        (scene.lan_https, "nas.localhost", "nas"),
        (default, "x.localhost", "wide"),
    ] {
        assert_eq!(client.get2(address, host, "/").await.body, body);
        assert_eq!(client.get(address, host, "/").await.body, body);
    }
    refused(&scene.proxy, &[("unknown-host", 1), ("other-listener", 4)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_knows_the_sites_of_its_listener_and_redirects_to_the_port_of_its_name() {
    let scene = Scene::start(SITES).await;
    let (default, lan) = (scene.proxy.http(), scene.lan_http);
    let (port, lan_port) = (scene.proxy.https().port(), scene.lan_https.port());
    for path in ["/", "/.well-known/acme-challenge/x"] {
        let unknown = plain(default, "www.example.org", path).await;
        assert!(unknown.starts_with("HTTP/1.1 404 "), "{unknown}");
        for (address, host) in [
            (default, "nas.localhost"),
            (default, "plain.localhost"),
            (default, "NAS.localhost.:80"),
            (lan, "localhost"),
            (lan, "x.localhost"),
        ] {
            assert_eq!(plain(address, host, path).await, unknown, "{host}");
        }
    }
    for (address, host, port) in [
        (default, "localhost", port),
        (default, "both.localhost", port),
        (lan, "both.localhost:80", lan_port),
        (lan, "nas.localhost", lan_port),
    ] {
        let answer = plain(address, host, "/x").await;
        let host = host.trim_end_matches(":80");
        let location = format!("https://{host}:{port}/x");
        assert_eq!(header(&answer, "location"), Some(&*location), "{answer}");
    }
    assert!(plain(lan, "plain.localhost", "/").await.ends_with("plain"));
    // Plain HTTP at a port for HTTPS.
    let answer = plain(scene.lan_https, "nas.localhost", "/").await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    let answer = plain(scene.proxy.https(), "nas.localhost", "/").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_listener_has_a_default_site_of_its_own() {
    let sites = "[sites]\n\
        \"a.localhost\" = { respond = { body = \"a\" }, default = true }\n\
        \"b.localhost\" = { respond = { body = \"b\" } }\n\
        \"c.localhost\" = { respond = { body = \"c\" }, listen = [\"lan\"], default = true }\n\
        \"127.0.0.1\" = { respond = { body = \"ip\" }, listen = [\"lan\"] }\n";
    let scene = Scene::start(sites).await;
    let all = async { while status(&scene.proxy).await["certificates"]["in_memory"] != 4 {} };
    soon(all).await;
    let client = scene.proxy.client().without_sni();
    let default = scene.proxy.https();
    for (address, name, is_served) in [
        (default, "a.localhost", true),
        // The address is a site, but not of this listener.
        (default, "127.0.0.1", false),
        (default, "c.localhost", false),
        (scene.lan_https, "127.0.0.1", true),
        (scene.lan_https, "a.localhost", false),
    ] {
        let end = handshake(&client, address, name).await;
        assert_eq!(end == "ok", is_served, "{address} {name} {end}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_on_one_listener_gets_its_certificate_through_another_one() {
    const NAME: &str = "nas.example.org";
    for challenge in ["http-01", "tls-alpn-01"] {
        let ports = ProxyPorts::reserve();
        let options = PebbleOptions {
            tls_port: ports.https().port(),
            ..PebbleOptions::new(ports.http().port())
        };
        let pebble = Pebble::start(options).await;
        let issued = Client::new(&pebble.issuance_root().await);
        let listen = listen(ports.http(), ports.https());
        let text = format!(
            "[[issuers]]\ndirectory = \"{}\"\nroot = \"ca.pem\"\nchallenges = [\"{challenge}\"]\n{listen}\
             [sites]\n\"{NAME}\" = {{ respond = {{ body = \"nas\" }}, listen = \"lan\" }}\n",
            pebble.directory_url()
        );
        let setup = ProxySetup::on(ports).addresses_by_file();
        setup.file("ca.pem", &pebble.root_pem());
        let mut scene = Scene::of(setup.proxyfile(&text).start().await).await;
        scene.proxy.logged("certificate obtained").await;
        assert_eq!(issued.get(scene.lan_https, NAME, "/").await.body, "nas");
        let end = handshake(&issued, scene.proxy.https(), NAME).await;
        assert!(end.contains("UnrecognisedName"), "{challenge} {end}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_shows_all_listeners() {
    let scene = Scene::start(SITES).await;
    let (http, https) = (scene.proxy.http(), scene.proxy.https());
    let told = run(&scene.proxy.data(), &["status"]).await.out;
    let expected = format!(
        "listening     http {http}\n              http {} (lan)\n              https {https}\n              https {} (lan)\n",
        scene.lan_http, scene.lan_https
    );
    assert!(told.contains(&expected), "{told}");
    let status = status(&scene.proxy).await;
    assert_eq!(status["listeners"][3]["name"], "lan");
    let mut proxy = scene.proxy;
    let line = proxy.logged("listening").await;
    assert!(line.contains(&format!("lan={}", scene.lan_https)), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_and_variables_take_several_addresses_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Proxyfile");
    let text = "storage = \"file:/data\"\ntrust = [\"10.0.0.0/8\"]\n[listen]\n\
        https = [\"[::]:443\", { name = \"lan\", address = \"10.0.0.1:443\", proxy-protocol = \"required\" }]\n\
        [sites]\n\"nas.example.org\" = { upstream = \"localhost:3000\", listen = \"lan\" }\n";
    std::fs::write(&path, text).unwrap();
    let explain = async |args: &[&str], variable: &str| {
        let mut explain = command();
        explain.args(["explain", "--config"]).arg(&path).args(args);
        if !variable.is_empty() {
            explain.env("PROXY_LISTEN_HTTPS", variable);
        }
        let output = explain.output().await.unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let expected = "https = [\"127.0.0.1:8443\", { name = \"lan\", address = \"127.0.0.2:8443\", proxy-protocol = \"required\" }] # flag\n";
    let flags = [
        "--listen-https",
        "127.0.0.1:8443",
        "--listen-https",
        "lan=127.0.0.2:8443",
    ];
    let told = explain(&flags, "").await;
    assert!(told.contains(expected), "{told}");
    let told = explain(&[], "127.0.0.1:8443,lan=127.0.0.2:8443").await;
    assert!(told.contains(expected), "{told}");
    let told = explain(&["--listen-https", "127.0.0.1:8443"], "").await;
    assert!(told.contains("unknown listener `lan`"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_addresses_of_one_name_serve_the_same_sites() {
    let ports = ProxyPorts::reserve();
    let text = format!(
        "[listen]\nhttp = \"{}\"\nhttps = [\"{}\", \"127.0.0.2:0\"]\n\
         [sites]\n\"localhost\" = {{ respond = {{ body = \"localhost\" }} }}\n",
        ports.http(),
        ports.https()
    );
    let setup = ProxySetup::on(ports).addresses_by_file();
    let mut proxy = setup.proxyfile(&text).start().await;
    let line = proxy.output("ready http=").await;
    let (_, second) = line.trim().rsplit_once(',').unwrap();
    let second: SocketAddr = second.parse().unwrap();
    for address in [proxy.https(), second] {
        let answer = proxy.client().get(address, "localhost", "/").await;
        assert_eq!(answer.body, "localhost");
    }
    let mut stream = RawStream::connect(proxy.http()).await;
    stream
        .send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    let head = stream.read_head().await.unwrap();
    let location = format!("https://localhost:{}/", proxy.https().port());
    assert_eq!(header(&head, "location"), Some(&*location));
}
