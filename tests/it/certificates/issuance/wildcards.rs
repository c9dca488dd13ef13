//! Wildcard certificates, end to end with Pebble: one for all names of a site, by each way to set a record.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use proxy::acme::{
    Account, AccountKey, Client as AcmeClient, DnsPersistRecord, Error, Identifier, Options, Order,
};
use proxy::certs::challenge::PersistSolver;

use crate::harness::admin::{Outcome, certs};
use crate::harness::backends::web_app::App;
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::clients::https::Client;
use crate::harness::dns::bind::{Bind, KEY, KEY_NAME};
use crate::harness::dns::cloudflare::{CloudflareApi, TOKEN};
use crate::harness::dns::server::DnsServer;
use crate::harness::proxy::{Proxy, ProxySetup, command};
use crate::harness::skip::skip;

pub(super) const WILDCARD: &str = "*.home.example.org";

/// A hook that logs its calls and sets the records at Pebble's DNS server.
pub(super) fn hook(setup: &ProxySetup, pebble: &Pebble) -> String {
    let script = format!(
        r#"#!/bin/sh
        set -eu
        echo "$*" >>"$0.calls"
        [ "$1" = present ] || exec curl -sS -d "{{\"host\":\"$2.\"}}" http://{0}/clear-txt
        exec curl -sS -d "{{\"host\":\"$2.\",\"value\":\"$3\"}}" http://{0}/set-txt
        "#,
        pebble.dns_management()
    );
    let path = setup.file("hook", &script);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path.display().to_string()
}

/// A Proxyfile with these sites in front of the app.
pub(super) fn proxyfile(app: &App, resolver: impl ToString, sites: &[(&str, &str)]) -> String {
    let mut text = format!("resolvers = [\"{}\"]\n", resolver.to_string());
    for (name, dns) in sites {
        let address = app.address;
        text.push_str(&format!(
            "[sites.\"{name}\"]\nupstream = \"{address}\"\ndns = {dns}\n"
        ));
    }
    text
}

/// A proxy with this Proxyfile that orders from the Pebble.
pub(super) fn from(setup: ProxySetup, pebble: &Pebble, file: &str, level: &str) -> ProxySetup {
    let setup = setup.proxyfile(file).args(["--log-level", level]);
    setup.ca(&pebble.directory_url(), &pebble.root_pem())
}

/// A proxy with a wildcard site in front of the app, and the hook that sets its records.
fn with_hook(app: &App, pebble: &Pebble) -> (String, ProxySetup) {
    let setup = ProxySetup::new();
    let hook = hook(&setup, pebble);
    let dns = format!(
        "{{ exec = \"{hook}\", name-servers = [\"{}\"] }}",
        pebble.dns()
    );
    let file = proxyfile(app, pebble.dns(), &[(WILDCARD, &dns)]);
    (hook, from(setup, pebble, &file, "debug"))
}

/// Two names of the wildcard are served with one certificate, and another depth is not.
async fn serves_all_names(proxy: &mut Proxy, pebble: &Pebble) {
    proxy.logged("certificate obtained").await;
    let client = Client::new(&pebble.issuance_root().await);
    let first = client.serial(proxy.https(), "a.home.example.org").await;
    let second = client.serial(proxy.https(), "b.home.example.org").await;
    assert_eq!(first.unwrap(), second.unwrap());
    let answer = client.get2(proxy.https(), "c.home.example.org", "/").await;
    assert_eq!(answer.body, "hello");
    assert!(
        client
            .serial(proxy.https(), "a.b.home.example.org")
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_proves_a_wildcard_which_survives_a_restart() {
    let app = App::start().await;
    let pebble = Pebble::start(PebbleOptions::new(1)).await;
    let (hook, setup) = with_hook(&app, &pebble);

    let mut proxy = setup.start().await;
    serves_all_names(&mut proxy, &pebble).await;

    proxy.logged("TXT record removed").await;
    let calls = std::fs::read_to_string(format!("{hook}.calls")).unwrap();
    let calls: Vec<Vec<_>> = calls
        .lines()
        .map(|line| line.split(' ').collect())
        .collect();
    let [present, cleanup] = calls.as_slice() else {
        panic!("{calls:?}")
    };
    assert_eq!(
        present[..2],
        ["present", "_acme-challenge.home.example.org"]
    );
    assert_eq!(cleanup[0], "cleanup");
    assert_eq!(present[1..], cleanup[1..]);
    let mut proxy = proxy.stop().await.start().await;
    proxy.logged("certificate loaded").await;
    assert!(!proxy.log().contains("being obtained"), "{}", proxy.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_serves_the_sites_that_it_covers_with_its_certificate() {
    // Given a wildcard, a site that it covers, and one that wants a certificate of its own, with one way to set records.
    let app = App::start().await;
    let pebble = Pebble::start(PebbleOptions::new(1)).await;
    let setup = ProxySetup::new();
    let hook = hook(&setup, &pebble);
    let (servers, address) = (pebble.dns(), app.address);
    let file = format!(
        "resolvers = [\"{servers}\"]\n\
         dns = {{ exec = \"{hook}\", name-servers = [\"{servers}\"] }}\n\
         [sites]\n\
         \"{WILDCARD}\" = {{ respond = 404 }}\n\
         \"nas.home.example.org\" = \"{address}\"\n\
         \"own.home.example.org\" = {{ upstream = \"{address}\", own-certificate = true }}\n"
    );
    let mut proxy = from(setup, &pebble, &file, "debug").start().await;
    // When certificates are there, then the covered site has that of the wildcard, and no order was placed for it.
    // Until its own one is there, every site that the wildcard covers is served with that of the wildcard.
    for name in [WILDCARD, "own.home.example.org"] {
        proxy
            .logged(&format!("certificate obtained names={name} "))
            .await;
    }
    let client = Client::new(&pebble.issuance_root().await);
    let serial = async |name: &str| client.serial(proxy.https(), name).await.unwrap();
    let shared = serial("a.home.example.org").await;
    assert_eq!(serial("nas.home.example.org").await, shared);
    assert_ne!(serial("own.home.example.org").await, shared);
    let answer = client
        .get2(proxy.https(), "nas.home.example.org", "/")
        .await;
    assert_eq!(answer.body, "hello");
    // And the list says which certificate serves which site.
    let Outcome { out: output, .. } = certs(&proxy.data(), &["list"]).await;
    let line = |name: &str| output.lines().find(|line| line.starts_with(name)).unwrap();
    let nas = line("nas.home");
    assert!(
        nas.contains("uses the certificate of *.home.example.org: served until"),
        "{nas}"
    );
    assert!(
        !line("own.home").contains("uses the certificate"),
        "{output}"
    );
    assert_eq!(proxy.log().matches("certificate obtained").count(), 2);
}

/// Marks a certificate as due in storage, and at the CA if that has renewal information; no proxy runs meanwhile.
async fn make_due(setup: &ProxySetup, pebble: &Pebble) {
    let certificates = setup.data().join("certificates");
    let mut issuers = std::fs::read_dir(certificates).unwrap();
    let folder = issuers.next().unwrap().unwrap().path();
    let name = folder.join("_wildcard.home.example.org");
    if pebble.has_renewal_info() {
        let stored = std::fs::read_to_string(name.join("certificate.pem")).unwrap();
        let leaf = stored.split_inclusive("-----END CERTIFICATE-----\n").next();
        pebble.hurry(leaf.unwrap()).await;
    }
    let plan = name.join("renewal.json");
    let text = std::fs::read_to_string(&plan).unwrap();
    let mut due: serde_json::Value = serde_json::from_str(&text).unwrap();
    due["renew_at"] = due["obtained_at"].clone();
    std::fs::write(plan, due.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_is_renewed_while_its_names_are_served() {
    let app = App::start().await;
    let pebble = Pebble::start(PebbleOptions::new(1)).await;
    let (hook, setup) = with_hook(&app, &pebble);
    let mut proxy = setup.start().await;
    serves_all_names(&mut proxy, &pebble).await;
    let client = Client::new(&pebble.issuance_root().await);
    let first = client.serial(proxy.https(), "a.home.example.org").await;
    proxy.logged("TXT record removed").await;
    let setup = proxy.stop().await;
    make_due(&setup, &pebble).await;

    let mut proxy = setup.start().await;
    proxy.logged("certificate loaded").await;
    let meanwhile = client.serial(proxy.https(), "a.home.example.org").await;
    serves_all_names(&mut proxy, &pebble).await;

    let second = client.serial(proxy.https(), "a.home.example.org").await;
    assert!(meanwhile.is_ok());
    assert_ne!(first.unwrap(), second.unwrap());
    proxy.logged("TXT record removed").await;
    let calls = std::fs::read_to_string(format!("{hook}.calls")).unwrap();
    let present = calls.lines().filter(|line| line.starts_with("present"));
    assert_eq!(present.count(), 2, "{calls}");
    assert_eq!(calls.lines().count(), 4, "{calls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_hook_is_named_as_the_reason_for_a_missing_certificate() {
    let app = App::start().await;
    let pebble = Pebble::start(PebbleOptions::new(1)).await;
    let setup = ProxySetup::new();
    let hook = setup.file("hook", "#!/bin/sh\necho 'no credentials' >&2\nexit 7\n");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o700)).unwrap();
    let dns = format!("{{ exec = \"{}\" }}", hook.display());
    let file = proxyfile(&app, pebble.dns(), &[(WILDCARD, &dns)]);

    let mut proxy = from(setup, &pebble, &file, "info").start().await;

    let line = proxy.logged("certificate not obtained").await;
    let sentence = format!(
        "the challenge for home.example.org could not be presented: \
         the hook {} failed to present (exit status: 7): no credentials",
        hook.display()
    );
    assert!(line.contains(&sentence), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_proves_a_wildcard_and_its_base_at_once() {
    let app = App::start().await;
    let bind = Bind::start().await;
    let options = PebbleOptions {
        dns: Some(bind.address()),
        ..PebbleOptions::new(1)
    };
    let pebble = Pebble::start(options).await;
    let server = bind.address();
    let dns = format!(
        "{{ rfc2136 = {{ server = \"{server}\", key-name = \"{KEY_NAME}\", key = \"file:key\", \
         algorithm = \"hmac-sha512\" }}, name-servers = [\"{server}\"] }}"
    );
    let setup = ProxySetup::new();
    setup.file("key", KEY);
    let sites = [(WILDCARD, dns.as_str()), ("home.example.org", &dns)];
    let file = proxyfile(&app, server, &sites);

    let mut proxy = from(setup, &pebble, &file, "debug").start().await;

    serves_all_names(&mut proxy, &pebble).await;
    let client = Client::new(&pebble.issuance_root().await);
    proxy
        .logged("certificate obtained names=home.example.org")
        .await;
    client
        .serial(proxy.https(), "home.example.org")
        .await
        .unwrap();
    assert!(!proxy.log().contains(KEY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloudflare_proves_a_wildcard_and_its_token_is_never_logged() {
    let app = App::start().await;
    let dns = Arc::new(DnsServer::start());
    let options = PebbleOptions {
        dns: Some(dns.address()),
        ..PebbleOptions::new(1)
    };
    let pebble = Pebble::start(options).await;
    let other = "_acme-challenge.home.example.org";
    let api = CloudflareApi::start(Arc::clone(&dns), "example.org", other).await;
    let setup = ProxySetup::new();
    setup.file("token", &format!("{TOKEN}\n"));
    let setting = format!(
        "{{ cloudflare = {{ token = \"file:token\", url = \"{}\" }}, name-servers = [\"{}\"] }}",
        api.url(),
        dns.address()
    );
    let file = proxyfile(&app, dns.address(), &[(WILDCARD, &setting)]);

    let mut proxy = from(setup, &pebble, &file, "trace").start().await;

    serves_all_names(&mut proxy, &pebble).await;
    proxy.logged("TXT record removed").await;
    assert_eq!(api.values(), ["of another"]);
    assert!(!proxy.log().contains(TOKEN));
}

#[tokio::test]
async fn a_persistent_record_proves_a_wildcard() {
    let dns = DnsServer::start();
    let options = PebbleOptions {
        dns: Some(dns.address()),
        ..PebbleOptions::new(1)
    };
    let pebble = Pebble::start(options).await;
    let mut options = Options::new(pebble.directory_url());
    options.root_pem = Some(pebble.root_pem().into_bytes());
    let client = Arc::new(AcmeClient::new(options).unwrap());
    let key = AccountKey::generate().unwrap();
    let account = Account::register(client, key, &[]).await.unwrap();
    let wildcard = Identifier::Dns(WILDCARD.to_owned());
    let order = async || {
        let order = Order::create(&account, std::slice::from_ref(&wildcard))
            .await
            .unwrap();
        order.prove(&account, &PersistSolver).await
    };
    let error = order().await.unwrap_err();
    if matches!(error, Error::NoChallenge { .. }) {
        skip("this Pebble does not offer dns-persist-01");
        return;
    }
    let sentence = error.to_string();
    assert!(
        sentence.starts_with(
            "the CA did not find the TXT record at _validation-persist.home.example.org \
             that authorizes this account: "
        ),
        "{sentence}"
    );

    let record = DnsPersistRecord::new(&wildcard, "pebble.letsencrypt.org", account.url());
    dns.txt(&record.name, &[&record.value]);

    order().await.unwrap();
}

/// Name and value of the record that `certs show` tells the operator to set.
fn record_to_set(shown: &str) -> (String, String) {
    let (_, record) = shown.split_once("TXT record to set once").expect(shown);
    let fact = |name: &str| {
        let mut lines = record.lines().map(str::trim);
        let fact = lines.find_map(|line| line.strip_prefix(name));
        fact.expect(shown).trim().trim_matches('"').to_owned()
    };
    (fact("name"), fact("value"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_persistent_record_to_set_is_shown_with_and_without_a_proxy_and_proves_all_names() {
    let app = App::start().await;
    let dns = DnsServer::start();
    let options = PebbleOptions {
        dns: Some(dns.address()),
        ..PebbleOptions::new(1)
    };
    let pebble = Pebble::start(options).await;
    let setup = ProxySetup::new();
    // For commands that read the file without the flags of the proxy.
    let root = setup.file("ca.pem", &pebble.root_pem());
    let file = format!(
        "storage = \"file:data\"\n[[issuers]]\ndirectory = \"{}\"\nroot = \"{}\"\n",
        pebble.directory_url(),
        root.display()
    );
    let file = proxyfile(&app, dns.address(), &[(WILDCARD, "\"persist\"")]).replacen(
        "[sites",
        &format!("{file}[sites"),
        1,
    );
    let path = setup.file("Proxyfile", &file);

    let mut proxy = setup.proxyfile(&file).start().await;

    let line = proxy.logged("certificate not obtained").await;
    if line.contains("does not offer") {
        skip("this Pebble does not offer dns-persist-01");
        return;
    }
    let shown = certs(&proxy.data(), &["show", WILDCARD]).await.out;
    let (name, value) = record_to_set(&shown);
    assert_eq!(name, "_validation-persist.home.example.org");
    assert!(value.ends_with("; policy=wildcard"), "{shown}");
    dns.txt(&name, &[&value]);
    let renewed = certs(&proxy.data(), &["renew", WILDCARD]).await;
    assert_eq!(renewed.code, 0, "{}", renewed.err);
    serves_all_names(&mut proxy, &pebble).await;
    // The same record also proves a name below the wildcard.
    let below = certs(&proxy.data(), &["show", "a.home.example.org"])
        .await
        .out;
    assert_eq!(record_to_set(&below), (name.clone(), value.clone()));

    let _setup = proxy.stop().await;
    let output = command()
        .args(["certs", "show", WILDCARD, "--config"])
        .arg(path)
        .output();
    let stored = Outcome::from(output.await.unwrap()).out;
    assert!(stored.contains("stored and valid until"), "{stored}");
    assert_eq!(record_to_set(&stored), (name, value));
}
