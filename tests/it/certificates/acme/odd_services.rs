//! Odd answers of real CAs to what is not an order: changes of keys, revocations and questions for renewal information.

use futures_util::future::join_all;
use proxy::acme::{AccountKey, CertId, Client, RenewalInfo, RevocationReason};
use serde_json::{Value, json};

use super::scene::Scene;
use crate::harness::ca::pki::TestCa;
use crate::harness::ca::scripted::{Fault, Reply, Script, Step};

/// Adds the services that the scripted CA does not have to the directory.
fn with_services(script: Script) -> Script {
    let rewrite = Fault::Rewrite(std::sync::Arc::new(|body: &[u8]| {
        let mut value: Value = serde_json::from_slice(body).unwrap();
        let base = value["newNonce"].as_str().unwrap().replace("/nonce", "");
        value["keyChange"] = format!("{base}/key-change").into();
        value["revokeCert"] = format!("{base}/revoke").into();
        value["renewalInfo"] = format!("{base}/renewal-info").into();
        value.to_string().into_bytes()
    }));
    script.always(Step::Directory, rewrite)
}

/// Answers that say only by their status that a request has succeeded.
fn bare_successes() -> Vec<Reply> {
    let bodies = [
        "",
        "null",
        "{}",
        "[]",
        "done",
        "<h1>OK</h1>",
        "{\"status\":null}",
    ];
    let replies = bodies.map(|body| Reply::new(200, body));
    replies
        .into_iter()
        .chain([Reply::new(201, ""), Reply::new(202, "")])
        .collect()
}

#[tokio::test]
async fn a_key_is_changed_and_a_certificate_revoked_despite_every_odd_answer() {
    let accounts = [
        json!({}),
        json!({"contact": null, "status": null, "orders": null}),
        json!({"contact": "", "status": "", "orders": ""}),
        json!({"contact": [null, ""], "status": 1, "orders": []}),
        json!({"contact": "mailto:a@b.test"}),
        Value::Null,
    ];
    let cases = bare_successes().into_iter().zip(accounts.iter().cycle());
    let cases = cases.map(|(reply, account)| async move {
        let odd = format!("{reply:?} {account}");
        let script = with_services(Script::new())
            .always(Step::KeyChange, Fault::Answer(reply.clone()))
            .always(Step::Revoke, Fault::Answer(reply))
            .always(Step::Account, Fault::Answer(Reply::json(200, account)));
        let scene = Scene::new(script).await;
        let known = scene.account().await.unwrap();
        let (certificate, _) = TestCa::root("x").loopback();

        let revoked = known
            .revoke(certificate.der(), RevocationReason::Superseded)
            .await;
        let changed = known.change_key(AccountKey::generate().unwrap()).await;

        assert!(revoked.is_ok(), "{odd}: {revoked:?}");
        assert!(changed.is_ok(), "{odd}: {:?}", changed.err());
    });
    join_all(cases).await;
}

#[tokio::test]
async fn a_ca_without_a_change_of_keys_is_said_to_have_none() {
    // Given a CA whose directory has only what orders need.
    let scene = Scene::new(Script::new()).await;
    let known = scene.account().await.unwrap();

    let error = known.change_key(AccountKey::generate().unwrap()).await;

    let sentence = error.unwrap_err().sentence();
    assert!(
        sentence.contains("its directory has no keyChange"),
        "{sentence}"
    );
    assert!(!sentence.contains("refuses to issue"), "{sentence}");
    assert_eq!(scene.ca.count(Step::KeyChange), 0);
}

#[tokio::test]
async fn a_certificate_that_is_revoked_already_is_revoked_however_the_ca_says_so() {
    for (status, kind) in [
        (400, "alreadyRevoked"),
        (403, "alreadyRevoked"),
        (409, "alreadyRevoked"),
    ] {
        let refused = Reply::problem(status, kind, "it is");
        let script = with_services(Script::new()).always(Step::Revoke, Fault::Answer(refused));
        let scene = Scene::new(script).await;
        let account = scene.account().await.unwrap();
        let (certificate, _) = TestCa::root("x").loopback();
        let revoked = account
            .revoke(certificate.der(), RevocationReason::Superseded)
            .await;
        assert!(revoked.is_ok(), "{status}: {revoked:?}");
    }
}

#[tokio::test]
async fn renewal_information_is_read_despite_every_odd_answer() {
    let window = json!({"start": "2027-01-02T04:00:00Z", "end": "2027-01-03T04:00:00Z"});
    let with = |page: Value| json!({"suggestedWindow": window, "explanationURL": page});
    let rows = [
        json!({ "suggestedWindow": window }),
        with(Value::Null),
        with(json!("")),
        with(json!(7)),
        with(json!([])),
        with(json!({"en": "https://ca.test"})),
        json!({"suggestedWindow": {"start": "2027-01-02t05:00:00.000+01:00", "end": "2027-01-03T04:00:00.5Z", "x": null}, "y": [null]}),
    ];
    let cases = rows.iter().zip([
        "",
        "soon",
        "-1",
        "0",
        "99999999999",
        "1.5",
        "Thu, 01 Jan 1970 00:00:00 GMT",
    ]);
    let cases = cases.map(|(body, wait)| async move {
        let reply = Reply::json(200, body).header("retry-after", wait);
        let script = with_services(Script::new()).always(Step::RenewalInfo, Fault::Answer(reply));
        let scene = Scene::new(script).await;
        let client = Client::new(scene.options()).unwrap();

        let info = RenewalInfo::of(&client, &CertId::new(b"key", b"serial")).await;

        let info = info
            .unwrap_or_else(|error| panic!("{body}: {}", error.sentence()))
            .unwrap();
        let length = info.end.duration_since(info.start).unwrap();
        assert_eq!(length.as_secs(), 24 * 3600, "{body}");
        assert_eq!(info.explanation, None, "{body}");
        let wait = info.ask_again_after.as_secs();
        assert!((60..=24 * 3600).contains(&wait), "{body}: {wait}");
    });
    join_all(cases).await;
}
