//! The providers that set records, against BIND and an imitation of Cloudflare's API.

use std::net::SocketAddr;
use std::sync::Arc;

use proxy::certs::Secret;
use proxy::certs::challenge::{
    Cloudflare, CloudflareOptions, DnsProvider, Rfc2136, Rfc2136Options, ServerAddress,
    TsigAlgorithm, TxtRecord,
};

use crate::harness::dns::bind::{Bind, KEY, KEY_NAME};
use crate::harness::dns::cloudflare::{CloudflareApi, TOKEN};
use crate::harness::dns::server::DnsServer;

pub(super) const CHALLENGE: &str = "_acme-challenge.home.example.org";

fn record(value: &str) -> TxtRecord {
    TxtRecord {
        name: CHALLENGE.to_owned(),
        value: value.to_owned(),
    }
}

pub(super) fn updater(server: SocketAddr, change: impl FnOnce(&mut Rfc2136Options)) -> Rfc2136 {
    let mut options = Rfc2136Options {
        server: ServerAddress {
            host: server.ip().to_string(),
            port: server.port(),
        },
        key_name: KEY_NAME.to_owned(),
        key: Secret::new(KEY),
        algorithm: TsigAlgorithm::HmacSha512,
    };
    change(&mut options);
    Rfc2136::new(&options).unwrap()
}

#[tokio::test]
async fn an_update_adds_and_removes_its_own_value_and_no_other() {
    let bind = Bind::start().await;
    let updater = updater(bind.address(), |_| ());
    updater.present(&record("one")).await.unwrap();
    updater.present(&record("two")).await.unwrap();
    updater.present(&record("two")).await.unwrap();
    assert_eq!(bind.texts(CHALLENGE).await, ["of another", "one", "two"]);

    updater.cleanup(&record("one")).await.unwrap();
    updater.cleanup(&record("one")).await.unwrap();
    assert_eq!(bind.texts(CHALLENGE).await, ["of another", "two"]);
    assert!(!format!("{updater:?}").contains(&KEY[..8]));
}

#[tokio::test]
async fn a_refused_update_names_what_to_check() {
    let bind = Bind::start().await;
    let at = format!("the DNS server {}", bind.address());
    let sentence = |updater: Rfc2136, record: TxtRecord| {
        let at = at.clone();
        async move {
            let error = updater.present(&record).await.unwrap_err().to_string();
            error.strip_prefix(&at).map(str::to_owned).unwrap_or(error)
        }
    };
    let wrong = updater(bind.address(), |options| {
        options.key = Secret::new("d3Jvbmc=")
    });
    assert_eq!(
        sentence(wrong, record("x")).await,
        " has another secret for the key `proxy-key` (BADSIG); check `key`"
    );
    let unknown = updater(bind.address(), |options| {
        options.key_name = "other".to_owned()
    });
    assert_eq!(
        sentence(unknown, record("x")).await,
        " does not know the key `other` for this algorithm (BADKEY); check `key-name` and `algorithm`"
    );
    let name = |name: &str| TxtRecord {
        name: name.to_owned(),
        value: "x".to_owned(),
    };
    assert_eq!(
        sentence(updater(bind.address(), |_| ()), name("www.example.org")).await,
        " does not let the key change www.example.org (Query Refused); allow it in the zone's update policy"
    );
    assert_eq!(
        sentence(updater(bind.address(), |_| ()), name("www.example.net")).await,
        " serves no zone for www.example.net; check `server`"
    );
    let gone = updater(([127, 0, 0, 1], 1).into(), |_| ());
    assert!(
        sentence(gone, record("x"))
            .await
            .contains("cannot be reached: ")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_at_cloudflare_is_created_and_deleted_by_its_id() {
    let dns = Arc::new(DnsServer::start());
    let api = CloudflareApi::start(dns, "example.org", CHALLENGE).await;
    let options = |token: &str| CloudflareOptions {
        token: Secret::new(token),
        url: api.url().parse().unwrap(),
    };
    let cloudflare = Cloudflare::new(&options(TOKEN)).unwrap();

    cloudflare.present(&record("one")).await.unwrap();
    assert_eq!(api.values(), ["of another", "one"]);
    cloudflare.cleanup(&record("one")).await.unwrap();

    assert_eq!(api.values(), ["of another"]);
    let calls = api.calls();
    assert_eq!(
        calls[..4],
        [
            "GET /zones?name=_acme-challenge.home.example.org",
            "GET /zones?name=home.example.org",
            "GET /zones?name=example.org",
            "POST /zones/zone-1/dns_records?",
        ]
    );
    assert_eq!(
        calls.last().unwrap(),
        "DELETE /zones/zone-1/dns_records/record-2?"
    );
    let error = Cloudflare::new(&options("wrong"))
        .unwrap()
        .present(&record("x"))
        .await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "Cloudflare refuses the token: Invalid access token (9109); \
         set `token` to one with the permissions Zone:Read and DNS:Edit"
    );
    let other = TxtRecord {
        name: "_acme-challenge.example.net".to_owned(),
        value: "x".to_owned(),
    };
    let error = cloudflare.present(&other).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Cloudflare has no zone for _acme-challenge.example.net, or the token may not see it"
    );
    assert!(!format!("{cloudflare:?}").contains(TOKEN));
}
