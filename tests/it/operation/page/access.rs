//! Who may see the status page, and what other web sites can do with it: nothing.

use serde_json::Value;

use super::visitor::{TOKEN, Visitor, page_address, with_token};
use crate::harness::ca::scripted::{Fault, Reply, Script, ScriptedCa, Step};
use crate::harness::clients::raw::header;
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};

const SITE: &str = "[sites]\nlocalhost = { respond = { body = \"hello\" } }\n";

async fn open_page() -> (Proxy, Visitor) {
    let text = format!("page = \"127.0.0.1:0\"\n{SITE}");
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let visitor = Visitor::new(page_address(&mut proxy).await);
    (proxy, visitor)
}

async fn page_with_token() -> (Proxy, std::net::SocketAddr) {
    let text = with_token("127.0.0.1:0", TOKEN) + SITE;
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let address = page_address(&mut proxy).await;
    (proxy, address)
}

fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1);
    status
        .and_then(|it| it.parse().ok())
        .unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn without_a_token_the_page_is_for_hosts_of_this_machine_only() {
    let (_proxy, visitor) = open_page().await;
    let answer = visitor.get("/").await;
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("<title>proxy</title>"), "{answer}");
    for (host, expected) in [
        ("localhost:9180", 200),
        ("[::1]", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:9180", 421),
    ] {
        let visitor = visitor.naming(host);
        for target in ["/", "/events?x", "/nothing", "/renew"] {
            // A stream would go on.
            if target.starts_with("/events") && expected == 200 {
                continue;
            }
            let found = status(&visitor.get(target).await);
            let is_refused = expected == 421;
            assert_eq!(found == 421, is_refused, "{host} {target}: {found}");
        }
    }
    let answer = visitor.naming("evil.example").get("/").await;
    assert!(answer.contains("open it under one of them"), "{answer}");
}

#[tokio::test]
async fn no_response_can_be_used_by_another_site() {
    let (_proxy, visitor) = open_page().await;
    let visitor = visitor.with("origin", "http://evil.example");
    for (method, target, expected) in [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/events", 403),
        ("GET", "/favicon.ico", 404),
        ("OPTIONS", "/events", 405),
        ("OPTIONS", "/renew", 405),
        ("PUT", "/", 405),
        ("POST", "/renew", 403),
        ("POST", "/login", 403),
    ] {
        let answer = visitor.send(method, target, "").await;
        assert_eq!(status(&answer), expected, "{method} {target}: {answer}");
        let field = |name| header(&answer, name).unwrap_or_else(|| panic!("{name}: {answer}"));
        let policy = field("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{policy}"
        );
        assert_eq!(field("cache-control"), "no-store");
        assert_eq!(field("referrer-policy"), "no-referrer");
        assert_eq!(field("x-content-type-options"), "nosniff");
        assert_eq!(field("cross-origin-resource-policy"), "same-origin");
        assert!(
            !answer.to_lowercase().contains("access-control-"),
            "{answer}"
        );
        if expected == 405 {
            assert!(header(&answer, "allow").is_some(), "{answer}");
        }
    }
    let answer = visitor.get("/").await;
    let policy = header(&answer, "content-security-policy").unwrap();
    for part in [
        "script-src 'sha256-",
        "style-src 'sha256-",
        "connect-src 'self'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
}

#[tokio::test]
async fn a_token_is_exchanged_for_a_cookie() {
    let (mut proxy, address) = page_with_token().await;
    let visitor = Visitor::new(address);
    for target in ["/", "/?token=wrong", "/?token=", "/nothing"] {
        let answer = visitor.get(target).await;
        assert_eq!(status(&answer), 401, "{target}: {answer}");
        assert_eq!(header(&answer, "set-cookie"), None);
    }
    let answer = visitor.get("/events").await;
    assert!(
        status(&answer) == 401 && !answer.contains("event:"),
        "{answer}"
    );

    // By a link, which leads on to the page without the token.
    let answer = visitor.get(&format!("/?token={TOKEN}")).await;
    assert_eq!(status(&answer), 200);
    let cookie = header(&answer, "set-cookie").unwrap();
    let name = format!("proxy-page-{}=", address.port());
    assert!(cookie.starts_with(&name), "{cookie}");
    for attribute in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!answer.contains(TOKEN), "{answer}");
    assert!(answer.contains("http-equiv=\"refresh\""), "{answer}");

    // By the form.
    let form = format!("token={TOKEN}");
    let own = format!("http://{address}");
    for (origin, form, expected) in [
        (own.as_str(), "token=wrong", 401),
        ("http://evil.example", &form, 403),
        ("null", &form, 403),
        (own.as_str(), &form, 303),
    ] {
        let answer = visitor.with("origin", origin).post("/login", form).await;
        assert_eq!(status(&answer), expected, "{answer}");
        assert_eq!(header(&answer, "set-cookie").is_some(), expected == 303);
    }

    let visitor = Visitor::admitted(address, TOKEN).await;
    assert_eq!(status(&visitor.get("/").await), 200);
    // A host of its own, as behind another proxy, and the same cookie.
    assert!(visitor.events().await.head.contains("text/event-stream"));
    let other = Visitor::new(address).with("cookie", &format!("{name}AAAA"));
    assert_eq!(status(&other.get("/").await), 401);
    let line = proxy.logged("wrong token on the status page").await;
    assert!(
        line.contains("WARN") && line.contains("client=127.0.0.1"),
        "{line}"
    );
    assert!(!proxy.log().contains(TOKEN), "{}", proxy.log());
}

#[tokio::test]
async fn who_guesses_tokens_has_one_attempt_at_a_time() {
    let (_proxy, address) = page_with_token().await;
    let visitor = Visitor::new(address);
    // When two wrong tokens come at once, then one waits for its answer, and the other one is not looked at.
    let refused = soon(async {
        loop {
            let form = "token=wrong";
            let own = visitor.with("origin", &format!("http://{address}"));
            let answers = tokio::join!(visitor.get("/?token=wrong"), own.post("/login", form));
            let answers = [answers.0, answers.1];
            let early = answers.iter().find(|answer| status(answer) == 429);
            if let Some(early) = early {
                assert!(answers.iter().any(|answer| status(answer) == 401));
                break early.clone();
            }
            // A slow machine: the second one has come after the answer to the first one.
            assert_eq!(answers.map(|answer| status(&answer)), [401, 401]);
        }
    })
    .await;
    assert_eq!(header(&refused, "retry-after"), Some("1"));
    assert!(
        refused.contains("Wait a second, and try again"),
        "{refused}"
    );
    // Then the page can be entered as before.
    let visitor = Visitor::admitted(address, TOKEN).await;
    assert_eq!(status(&visitor.get("/").await), 200);
    // Whoever has the cookie may come with any token.
    let answer = visitor.get("/?token=wrong").await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_needs_the_cookie_the_key_and_the_origin_of_the_page() {
    let (proxy, address) = page_with_token().await;
    let visitor = Visitor::admitted(address, TOKEN).await;
    let client = proxy.client();
    let before = client.serial(proxy.https(), "localhost").await.unwrap();
    let (event, access) = visitor.events().await.next().await.unwrap();
    assert_eq!(event, "access");
    let key = access["renewal_key"].as_str().unwrap();
    let own = visitor.with("x-renewal-key", key);

    for (visitor, expected) in [
        (Visitor::new(address).with("x-renewal-key", key), 401),
        (visitor.clone(), 403),
        (visitor.with("x-renewal-key", TOKEN), 403),
        (own.with("origin", "http://evil.example"), 403),
        (own.with("sec-fetch-site", "same-site"), 403),
    ] {
        let answer = visitor.post("/renew", "name=localhost").await;
        assert_eq!(status(&answer), expected, "{answer}");
    }
    let same = client.serial(proxy.https(), "localhost").await.unwrap();
    assert_eq!(same, before);

    let answer = own.post("/renew", "name=not%20a%20name").await;
    assert!(
        status(&answer) == 400 && answer.contains("is not a valid name"),
        "{answer}"
    );
    let answer = own
        .with("origin", &format!("http://{address}"))
        .post("/renew", "name=localhost")
        .await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(
        answer.contains("{\"done\":\"localhost has a new certificate"),
        "{answer}"
    );
    let after = client.serial(proxy.https(), "localhost").await.unwrap();
    assert_ne!(after, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_does_not_override_the_limits_of_the_ca() {
    // Given a CA that takes no orders for an hour.
    let setup = ProxySetup::new();
    let refusal =
        Reply::problem(429, "rateLimited", "too many orders").header("retry-after", "3600");
    let script = Script::new().always(Step::NewOrder, Fault::Answer(refusal));
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let text = with_token("127.0.0.1:0", TOKEN)
        + "[sites]\n\"www.example.org\" = { respond = { body = \"hello\" } }\n";
    let setup = setup
        .proxyfile(&text)
        .ca(&ca.directory_url(), &ca.root_pem());
    let mut proxy = setup.start().await;
    proxy.logged("certificate not obtained").await;
    let orders = ca.count(Step::NewOrder);
    let address = page_address(&mut proxy).await;
    let visitor = Visitor::admitted(address, TOKEN).await;
    let mut events = visitor.events().await;
    let (_, access) = events.next().await.unwrap();

    // When somebody wants a certificate now.
    let key = access["renewal_key"].as_str().unwrap();
    let renewal = visitor.with("x-renewal-key", key);
    let answer = soon(renewal.post("/renew", "name=www.example.org")).await;

    // Then the CA is not asked, and the page says why.
    assert_eq!(status(&answer), 409, "{answer}");
    assert!(answer.contains("is not renewed: "), "{answer}");
    assert_eq!(ca.count(Step::NewOrder), orders);
    let name = |data: &Value| data["names"]["www.example.org"].clone();
    let says_why = |data: &Value| {
        name(data)["standing"]
            .to_string()
            .contains("too many orders")
    };
    let told = events.until(says_why).await;
    assert_eq!(name(&told)["needs_attention"], true, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_is_under_way_until_it_ends_even_if_its_browser_leaves() {
    // Given a CA that does not answer the orders after the first two.
    let setup = ProxySetup::new();
    let script =
        Script::new()
            .fault(Step::NewOrder, 3, Fault::Never)
            .fault(Step::NewOrder, 4, Fault::Never);
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let names = ["a.example.org", "b.example.org"];
    let site = |name: &str| format!("\"{name}\" = {{ respond = {{ body = \"hello\" }} }}\n");
    let text = with_token("127.0.0.1:0", TOKEN) + "[sites]\n" + &names.map(site).concat();
    let setup = setup
        .proxyfile(&text)
        .ca(&ca.directory_url(), &ca.root_pem());
    let mut proxy = setup.start().await;
    let address = page_address(&mut proxy).await;
    let visitor = Visitor::admitted(address, TOKEN).await;
    let mut events = visitor.events().await;
    let (_, access) = events.next().await.unwrap();
    let renewal = visitor.with("x-renewal-key", access["renewal_key"].as_str().unwrap());
    let mut served = 0;
    while served < names.len() {
        let whole = visitor.events().await.whole().await;
        let is_served = |name: &&str| whole["names"][*name]["state"] == "served";
        served = names.into_iter().filter(is_served).count();
    }

    // When browsers ask for two renewals and leave.
    for (index, name) in names.into_iter().enumerate() {
        let mut browser = renewal.leaving("/renew", &format!("name={name}")).await;
        ca.counted(Step::NewOrder, 3 + index).await;
        browser.finish().await;
        assert_eq!(browser.read_to_end().await, "");
    }

    // Then these renewals are still under way, and there can be no third one.
    let answer = soon(renewal.post("/renew", "name=a.example.org")).await;
    assert_eq!(status(&answer), 409, "{answer}");
    assert!(answer.contains("other renewals are under way"), "{answer}");
}

#[tokio::test]
async fn without_a_token_nobody_renews() {
    let (_proxy, visitor) = open_page().await;
    let mut events = visitor.events().await;
    let (_, access) = events.next().await.unwrap();
    assert!(access["renewal_key"].is_null(), "{access}");
    let answer = visitor.post("/renew", "name=localhost").await;
    assert_eq!(status(&answer), 403);
    assert!(answer.contains("`proxy certs renew NAME`"), "{answer}");
}
