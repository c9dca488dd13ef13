//! Answers that RFC 8555 does not allow, or barely, but that real CAs send. With each of them, a certificate is issued.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use proxy::acme::ProblemKind;
use serde_json::{Value, json};

use super::scene::Scene;
use crate::harness::ca::scripted::{Fault, Reply, Script, Step};

/// Changes the body of an answer.
type ChangeBytes = fn(&[u8]) -> Vec<u8>;

/// A change of the CA's answer.
type Change = fn(&mut Value);

/// The steps whose answers hold an order.
const ORDERS: &[Step] = &[Step::NewOrder, Step::Finalize, Step::Order];

/// The steps whose answers hold JSON.
const ALL: &[Step] = &[
    Step::Directory,
    Step::NewAccount,
    Step::NewOrder,
    Step::Authorization,
    Step::Challenge,
    Step::Finalize,
    Step::Order,
];

fn challenges(value: &mut Value, change: Change) {
    let challenges = value["challenges"].as_array_mut();
    challenges.into_iter().flatten().for_each(change);
}

fn remove(value: &mut Value, members: &[&str]) {
    for member in members {
        value.as_object_mut().unwrap().remove(*member);
    }
}

fn set(value: &mut Value, members: &[&str], content: Value) {
    for member in members {
        value[*member] = content.clone();
    }
}

/// The odd answers: what is odd, in which answers, and how.
const TABLE: &[(&str, &[Step], Change)] = &[
    ("facts null", &[Step::Directory], |it| {
        it["meta"] = json!({
            "termsOfService": null, "website": null, "caaIdentities": null,
            "externalAccountRequired": null, "profiles": null
        });
    }),
    ("facts empty", &[Step::Directory], |it| {
        it["meta"] = json!({
            "termsOfService": "", "website": [], "caaIdentities": "",
            "externalAccountRequired": "", "profiles": []
        });
    }),
    ("facts of other types", &[Step::Directory], |it| {
        it["meta"] = json!({
            "termsOfService": 1, "website": {"en": "x"}, "caaIdentities": "ca.test",
            "externalAccountRequired": "no", "profiles": {"classic": null, "short": ["x"]}
        });
    }),
    ("no facts", &[Step::Directory], |it| {
        set(it, &["meta"], Value::Null)
    }),
    ("services null", &[Step::Directory], |it| {
        set(
            it,
            &["revokeCert", "keyChange", "renewalInfo", "newAuthz"],
            Value::Null,
        );
    }),
    ("services empty", &[Step::Directory], |it| {
        set(it, &["revokeCert", "keyChange", "renewalInfo"], json!(""));
    }),
    ("account null", &[Step::NewAccount], |it| {
        set(
            it,
            &["orders", "contact", "status", "termsOfServiceAgreed"],
            Value::Null,
        );
    }),
    ("account empty", &[Step::NewAccount], |it| *it = json!({})),
    ("account of other types", &[Step::NewAccount], |it| {
        *it = json!({ "orders": [], "contact": "mailto:a@b.test", "status": 1, "id": 7 });
    }),
    ("no account", &[Step::NewAccount], |it| *it = Value::Null),
    ("order with nulls", ORDERS, |it| {
        set(
            it,
            &["error", "expires", "notBefore", "notAfter", "replaces"],
            Value::Null,
        );
        if it["certificate"].is_null() {
            it["certificate"] = Value::Null;
        }
    }),
    ("order with empty members", ORDERS, |it| {
        set(it, &["error", "expires", "notBefore"], json!(""));
        if it["certificate"].is_null() {
            it["certificate"] = json!("");
        }
    }),
    ("an empty object as error", ORDERS, |it| {
        set(it, &["error"], json!({}))
    }),
    ("order without identifiers", ORDERS, |it| {
        remove(it, &["identifiers"])
    }),
    ("identifiers null", ORDERS, |it| {
        set(it, &["identifiers"], Value::Null)
    }),
    ("identifiers of unknown types", ORDERS, |it| {
        it["identifiers"] = json!([{"type": "permanent-identifier", "value": "x"}, {}, null]);
    }),
    ("order without status", ORDERS, |it| remove(it, &["status"])),
    ("status null", ORDERS, |it| {
        set(it, &["status"], Value::Null)
    }),
    (
        "later orders without what the first one had",
        &[Step::Finalize, Step::Order],
        |it| {
            remove(it, &["identifiers", "authorizations", "finalize"]);
        },
    ),
    (
        "nothing in the answer to finalize",
        &[Step::Finalize],
        |it| *it = json!({}),
    ),
    ("null in answer to finalize", &[Step::Finalize], |it| {
        *it = Value::Null
    }),
    ("empty authorizations", &[Step::NewOrder], |it| {
        it["authorizations"]
            .as_array_mut()
            .unwrap()
            .extend([json!(""), Value::Null]);
    }),
    ("authorization with nulls", &[Step::Authorization], |it| {
        set(it, &["expires", "wildcard", "error"], Value::Null);
        challenges(it, |it| {
            set(
                it,
                &["error", "validated", "validationRecord", "keyAuthorization"],
                Value::Null,
            );
        });
    }),
    (
        "authorization with empty members",
        &[Step::Authorization],
        |it| {
            set(it, &["expires", "wildcard"], json!(""));
            challenges(it, |it| {
                set(
                    it,
                    &["error", "validated", "issuer-domain-names"],
                    json!(""),
                )
            });
        },
    ),
    (
        "authorization without identifier",
        &[Step::Authorization],
        |it| {
            remove(it, &["identifier"]);
        },
    ),
    (
        "authorization without status",
        &[Step::Authorization],
        |it| {
            remove(it, &["status"]);
        },
    ),
    ("wildcard as text", &[Step::Authorization], |it| {
        it["wildcard"] = json!("false")
    }),
    (
        "challenges that cannot be used",
        &[Step::Authorization],
        |it| {
            let mut list = vec![
                json!({}),
                Value::Null,
                json!({"type": "x"}),
                json!("x"),
                json!({"type": "dns-01", "url": null}),
            ];
            list.append(it["challenges"].as_array_mut().unwrap());
            it["challenges"] = list.into();
        },
    ),
    (
        "token null where there is none",
        &[Step::Authorization],
        |it| {
            it["challenges"][0]["token"] = Value::Null;
        },
    ),
    (
        "nothing in the answer to the challenge",
        &[Step::Challenge],
        |it| *it = Value::Null,
    ),
    ("relative URLs", ALL, |it| {
        let text = it.to_string();
        let start = text.find("https://127.0.0.1:");
        if let Some(base) = start.map(|start| &text[start..start + "https://127.0.0.1:00000".len()])
        {
            *it = serde_json::from_str(&text.replace(base, "")).unwrap();
        }
    }),
    ("unknown members", ALL, |it| {
        if it.is_object() {
            it["$schema"] = json!({"a": [null, {"url": 1}]});
        }
    }),
];

async fn issue(odd: &str, script: Script) {
    let scene = Scene::new(script).await;
    let outcome = scene.issue().await;
    assert!(
        outcome.is_ok(),
        "{odd}: {}",
        outcome.unwrap_err().sentence()
    );
}

#[tokio::test]
async fn a_directory_without_a_service_fails_only_what_needs_it() {
    for member in ["newOrder", "newAccount", "newNonce"] {
        let rewrite = move |body: &[u8]| {
            let mut value: Value = serde_json::from_slice(body).unwrap();
            remove(&mut value, &[member]);
            value.to_string().into_bytes()
        };
        let rewrite = Fault::Rewrite(std::sync::Arc::new(rewrite));
        let scene = Scene::new(Script::new().always(Step::Directory, rewrite)).await;
        let error = scene.issue().await.unwrap_err();
        let sentence = error.sentence();
        assert!(
            sentence.contains(&format!("it has no `{member}`")),
            "{sentence}"
        );
        assert_eq!(error.step(), Some(proxy::acme::Step::Directory));
        let registered = scene.ca.count(Step::NewAccount);
        assert_eq!(registered, usize::from(member == "newOrder"), "{member}");
    }
}

#[tokio::test]
async fn a_certificate_is_issued_despite_every_odd_answer() {
    let rows = TABLE.iter().map(|(odd, steps, change)| {
        let change = *change;
        let script = steps.iter().fold(Script::new(), |script, step| {
            let rewrite = Fault::Rewrite(std::sync::Arc::new(move |body: &[u8]| {
                let mut value = serde_json::from_slice(body).unwrap();
                change(&mut value);
                value.to_string().into_bytes()
            }));
            script.always(*step, rewrite)
        });
        issue(odd, script).boxed()
    });
    let bytes: [(&str, ChangeBytes); 3] = [
        ("a byte order mark", |body| {
            [&b"\xef\xbb\xbf"[..], body].concat()
        }),
        ("whitespace around", |body| {
            [&b"\r\n "[..], body, b"\n\n"].concat()
        }),
        ("Latin-1 in a text", |body| {
            let rest = body.strip_prefix(b"{").unwrap();
            [&b"{\"note\":\"s\xe4hk\xf6\","[..], rest].concat()
        }),
    ];
    let bytes = bytes.into_iter().map(|(odd, change)| {
        let script = ALL.iter().fold(Script::new(), |script, step| {
            script.always(*step, Fault::Rewrite(std::sync::Arc::new(change)))
        });
        issue(odd, script).boxed()
    });
    let rows: Vec<BoxFuture<'_, ()>> = rows.chain(bytes).collect();
    join_all(rows).await;
}

/// Refuses the first `count` requests of a step.
fn refusing(step: Step, count: usize, reply: &Reply) -> Script {
    (1..=count).fold(Script::new(), |script, n| {
        script.fault(step, n, Fault::Answer(reply.clone()))
    })
}

#[tokio::test]
async fn a_limit_without_a_time_is_waited_for_twice_at_every_step() {
    let limited = [
        Reply::problem(429, "rateLimited", "slow down"),
        Reply::problem(403, "rateLimited", "slow down").header("retry-after", "0"),
        Reply::new(429, "<h1>Too many</h1>"),
    ];
    let steps = Step::ALL.into_iter().filter(|it| *it != Step::Deactivate);
    let cases = steps
        .zip(limited.iter().cycle())
        // The answer to HEAD has no body that could name the problem.
        .map(|(step, reply)| match step {
            Step::NewNonce => (step, &limited[0]),
            _ => (step, reply),
        })
        .map(|(step, reply)| async move {
            let scene = Scene::new(refusing(step, 2, reply)).await;
            let start = tokio::time::Instant::now();
            scene.issue_well().await;
            assert!(
                start.elapsed() >= Duration::from_secs(2),
                "{step:?}: asked too soon"
            );
            assert!(scene.ca.count(step) >= 3, "{step:?}");
        });
    join_all(cases).await;
}

#[tokio::test]
async fn a_certificate_in_another_format_is_told_to_the_ca_and_not_to_the_operator() {
    let der = || Reply::new(200, b"\x30\x82\x01\x00\x30\x82".to_vec());
    let script = Script::new().always(Step::Certificate, Fault::AnswerAfter(der()));
    let sentence = Scene::fail(script).await.1.sentence();
    assert_eq!(
        sentence,
        "the CA's certificate is not a PEM chain, but in another format; only the CA can change that"
    );
}

#[tokio::test]
async fn a_limit_that_stays_fails_the_attempt_after_three_requests() {
    let limited = Reply::problem(429, "rateLimited", "slow down");
    let script = Script::new().always(Step::NewOrder, Fault::Answer(limited));
    let (scene, error) = Scene::fail(script).await;
    assert_eq!(error.problem().unwrap().kind, ProblemKind::RateLimited);
    assert_eq!(scene.ca.count(Step::NewOrder), 3);
}

#[tokio::test]
async fn a_refused_nonce_is_replaced_whatever_the_status() {
    for status in [400, 403, 500] {
        let refused = Reply::problem(status, "badNonce", "no");
        let scene = Scene::new(refusing(Step::NewOrder, 2, &refused)).await;
        scene.issue_well().await;
        assert_eq!(scene.ca.count(Step::NewOrder), 3, "{status}");
    }
}

#[tokio::test]
async fn a_ca_that_does_not_know_head_is_asked_for_a_nonce_by_get() {
    for status in [405, 501] {
        let unknown = Reply::new(status, "");
        // HEAD comes first, and 5xx is asked again twice.
        let count = if status == 405 { 1 } else { 3 };
        let scene = Scene::new(refusing(Step::NewNonce, count, &unknown)).await;
        scene.issue_well().await;
        assert_eq!(scene.ca.count(Step::NewNonce), count + 1, "{status}");
    }
}
