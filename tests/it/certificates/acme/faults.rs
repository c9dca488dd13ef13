//! The ACME client when the CA, or the way to it, fails.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use http::StatusCode;
use proxy::acme::{Client, Error, Identifier, Options, Order, ProblemKind};
use rcgen::{BasicConstraints, CertificateParams, IsCa, SanType};
use tokio::time::Instant;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::scene::Scene;
use crate::harness::ca::pki::{TestCa, csr, is_for_key, verify_chain};
use crate::harness::ca::scripted::{
    CertificateFault, Fault, Reply, Script, ScriptedCa, Step, Wait,
};

const NAME: &str = "www.example.org";

/// Changes a certificate before it is signed.
type Change = Box<dyn FnOnce(&mut CertificateParams)>;

fn name() -> Identifier {
    Identifier::Dns(NAME.to_owned())
}

#[tokio::test]
async fn a_first_certificate_takes_ten_requests() {
    let scene = Scene::new(Script::new()).await;
    scene.issue_well().await;
    let counts = Step::ALL.map(|step| (step, scene.ca.count(step)));
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    assert!(total <= 10, "{counts:?}");
}

/// Steps whose answer is lost once, before or after the CA has carried out the request.
async fn lose(step: Step, cut: Fault) {
    let scene = Scene::new(Script::new().fault(step, 1, cut.clone())).await;
    let outcome = scene.issue().await;
    let has_worked = matches!(cut, Fault::CutAfter);
    match step {
        Step::NewOrder => assert!(matches!(outcome, Err(Error::Lost { .. })), "{outcome:?}"),
        Step::Challenge if !has_worked => {
            let late = matches!(outcome, Err(Error::AuthorizationTimeout { .. }));
            assert!(late, "{outcome:?}");
        }
        _ => {
            let (chain, _) = outcome.unwrap_or_else(|error| panic!("{step:?} {cut:?}: {error}"));
            verify_chain(&chain, &scene.ca.issuing_root_pem(), NAME).unwrap();
        }
    }
    let orders = scene.ca.count(Step::NewOrder);
    assert_eq!(orders, 1, "{step:?} {cut:?}: ordered again");
    let challenges = scene.ca.count(Step::Challenge);
    assert!(challenges <= 1, "{step:?} {cut:?}: challenged again");
    if step == Step::Finalize {
        let expected = if has_worked { 1 } else { 2 };
        assert_eq!(scene.ca.count(Step::Finalize), expected, "{cut:?}");
    }
    assert_eq!(scene.solver.len(), 0, "the challenge was left behind");
}

#[tokio::test]
async fn every_step_that_is_lost_once_continues_or_ends_with_its_error() {
    let steps = Step::ALL
        .into_iter()
        .filter(|step| *step != Step::Deactivate);
    let cases = steps
        .flat_map(|step| [Fault::CutBefore, Fault::CutAfter].map(|cut| lose(step, cut).boxed()));
    join_all(cases).await;
}

#[tokio::test]
async fn both_forms_of_retry_after_are_obeyed() {
    let wait = |wait| async move {
        let scene = Scene::new(Script::new().wait(wait).polls(2)).await;
        let account = scene.account().await.unwrap();
        let mut order = Order::create(&account, &[name()]).await.unwrap();
        order.prove(&account, &scene.solver).await.unwrap();
        let start = Instant::now();
        order.finalize(&account, &csr(&[NAME]).0).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(2), "{wait:?}");
        assert_eq!(scene.ca.count(Step::Order), 2, "{wait:?}");
    };
    tokio::join!(wait(Wait::Seconds(1)), wait(Wait::Date(1)));
}

#[tokio::test]
async fn a_rate_limit_is_reported_with_its_end_and_not_retried() {
    let limited = Reply::problem(429, "rateLimited", "too many").header("retry-after", "3600");
    let script = Script::new().always(Step::NewOrder, Fault::Answer(limited));
    let (scene, error) = Scene::fail(script).await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!(error.problem().unwrap().kind, ProblemKind::RateLimited);
    assert!(
        error
            .sentence()
            .ends_with("it allows the next attempt in 1h")
    );
    assert_eq!(scene.ca.count(Step::NewOrder), 1);
}

#[tokio::test]
async fn an_answer_that_is_not_json_is_quoted_in_the_error() {
    let page = Fault::Answer(Reply::new(502, "<h1>Bad gateway</h1>"));
    let (scene, error) = Scene::fail(Script::new().always(Step::NewOrder, page.clone())).await;
    assert!(
        error
            .sentence()
            .ends_with("502 Bad Gateway: <h1>Bad gateway</h1>")
    );
    assert_eq!(scene.ca.count(Step::NewOrder), 1);

    let (scene, error) = Scene::fail(Script::new().always(Step::Authorization, page)).await;
    assert_eq!(error.status(), Some(StatusCode::BAD_GATEWAY));
    assert_eq!(scene.ca.count(Step::Authorization), 3);

    let nonsense = Fault::Answer(Reply::new(200, "all is well"));
    let (_, error) = Scene::fail(Script::new().always(Step::Directory, nonsense)).await;
    assert!(matches!(error, Error::Json { .. }));
}

#[tokio::test]
async fn a_ca_that_sends_retry_after_is_not_asked_before() {
    let busy = Reply::problem(503, "serverInternal", "maintenance").header("retry-after", "600");
    let script = Script::new().always(Step::Authorization, Fault::Answer(busy));
    let (scene, error) = Scene::fail(script).await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(600)));
    assert_eq!(scene.ca.count(Step::Authorization), 1);
}

#[tokio::test]
async fn an_endless_body_is_cut() {
    let (scene, error) = Scene::fail(Script::new().always(Step::Certificate, Fault::Endless)).await;
    assert!(matches!(error, Error::TooLong { .. }));
    assert_eq!(scene.ca.count(Step::Certificate), 1);
}

#[tokio::test]
async fn a_missing_answer_is_waited_for_once() {
    let scene = Scene::new(Script::new().always(Step::NewAccount, Fault::Never)).await;
    let mut options = scene.options();
    options.request_timeout = Duration::from_millis(300);
    let error = scene.account_with(options).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }));
    assert!(error.sentence().contains("did not answer within 300ms"));
    assert_eq!(scene.ca.count(Step::NewAccount), 1);
}

#[tokio::test]
async fn a_redirected_post_is_not_followed_and_a_redirected_get_is() {
    let redirect = Reply::new(307, "").header("location", "/order");
    let script = Script::new().always(Step::NewAccount, Fault::Answer(redirect));
    let (scene, error) = Scene::fail(script).await;
    assert_eq!(error.status(), Some(StatusCode::TEMPORARY_REDIRECT));
    assert_eq!(scene.ca.count(Step::NewOrder), 0);

    let redirect = Reply::new(302, "").header("location", "/dir");
    let script = Script::new().fault(Step::Directory, 1, Fault::Answer(redirect));
    let scene = Scene::new(script).await;
    scene.issue_well().await;
    assert_eq!(scene.ca.count(Step::Directory), 2);

    let plain = Reply::new(302, "").header("location", "http://127.0.0.1:1/dir");
    let (_, error) = Scene::fail(Script::new().always(Step::Directory, Fault::Answer(plain))).await;
    assert!(matches!(error, Error::NotHttps { .. }));
}

#[tokio::test]
async fn the_given_certificate_of_the_ca_itself_is_believed_whatever_signed_it_if_name_and_time_are_right()
 {
    let day = Duration::from_secs(24 * 3600);
    let now = std::time::SystemTime::now();
    let shapes: [(Change, Option<&str>); 5] = [
        (Box::new(|_| ()), None),
        (
            Box::new(|it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            None,
        ),
        (Box::new(|it| it.is_ca = IsCa::ExplicitNoCa), None),
        (
            Box::new(move |it| {
                it.not_before = (now - 2 * day).into();
                it.not_after = (now - day).into();
            }),
            Some("set this machine's clock"),
        ),
        (
            Box::new(|it| {
                it.subject_alt_names = vec![SanType::DnsName("other.test".try_into().unwrap())];
            }),
            Some("not valid for name"),
        ),
    ];
    for (change, refused) in shapes {
        let api = TestCa::root("a signer").changed_loopback_server(change);
        let ca = ScriptedCa::start_as(Script::new(), 1, api).await;
        let mut options = Options::new(ca.directory_url());
        options.root_pem = Some(ca.api_certificate().into_bytes());
        let answer = Client::new(options).unwrap().directory().await;
        match (answer, refused) {
            (Ok(_), None) => {}
            (Err(error), Some(said)) => {
                let sentence = error.sentence().to_lowercase();
                assert!(sentence.contains(said), "{sentence}");
            }
            (answer, refused) => panic!("{answer:?} {refused:?}"),
        }
    }
}

#[tokio::test]
async fn a_url_that_would_make_all_others_long_is_not_used() {
    let long = format!("/{}", "a".repeat(5000));
    let redirect = Reply::new(302, "").header("location", &long);
    let script = Script::new().always(Step::Directory, Fault::Answer(redirect));
    let (scene, error) = Scene::fail(script).await;
    assert!(matches!(error, Error::LongUrl { .. }), "{error}");
    assert_eq!(scene.ca.count(Step::Directory), 1);
}

#[tokio::test]
async fn eight_refused_nonces_are_retried_and_the_ninth_is_an_error() {
    let refused = |count| {
        let reply = Reply::problem(400, "badNonce", "no");
        (1..=count).fold(Script::new(), |script, n| {
            script.fault(Step::Challenge, n, Fault::Answer(reply.clone()))
        })
    };
    let scene = Scene::new(refused(8)).await;
    scene.issue_well().await;
    assert_eq!(scene.ca.count(Step::Challenge), 9);
    assert_eq!(
        scene.ca.count(Step::NewNonce),
        1,
        "the refusal brings the nonce"
    );
    let (_, error) = Scene::fail(refused(9)).await;
    assert!(matches!(error, Error::Nonces { count: 9, .. }));
}

#[tokio::test]
async fn an_endpoint_that_has_gone_is_looked_up_in_the_directory() {
    let gone = Fault::Answer(Reply::new(404, ""));
    let script = Script::new()
        .fault(Step::NewNonce, 1, gone.clone())
        .always(Step::NewOrder, gone);
    let (scene, error) = Scene::fail(script).await;
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    assert_eq!(scene.ca.count(Step::NewNonce), 2);
    assert_eq!(scene.ca.count(Step::NewOrder), 1);
    assert_eq!(scene.ca.count(Step::Directory), 3);
}

#[tokio::test]
async fn a_required_external_binding_is_explained_in_the_error() {
    let reply = Reply::problem(403, "externalAccountRequired", "EAB needed");
    let script = Script::new().always(Step::NewAccount, Fault::Answer(reply));
    let (scene, error) = Scene::fail(script).await;
    assert!(error.is_permanent());
    assert!(
        error
            .sentence()
            .contains("external account binding (EAB): EAB needed")
    );
    assert_eq!(scene.ca.count(Step::NewAccount), 1);
}

#[tokio::test]
async fn an_unknown_root_of_the_ca_is_an_error_that_names_the_fix() {
    let scene = Scene::new(Script::new()).await;
    let error = scene.account_with(Options {
        root_pem: Some(TestCa::root("another").pem().into_bytes()),
        ..scene.options()
    });
    let error = error.await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }));
    let sentence = error.sentence();
    let fix =
        "if the CA is private, save its root as FILE, or this very certificate if its SHA-256 is ";
    let (_, rest) = sentence.split_once(fix).unwrap();
    let (fingerprint, line) = rest.split_once(", and add ").unwrap();
    assert_eq!(fingerprint.len(), 32 * 3 - 1);
    assert_eq!(line, "`root = \"FILE\"` to the issuer, or --acme-root FILE");
}

#[tokio::test]
async fn a_certificate_that_is_not_pem_is_refused() {
    let script = Script::new().always(
        Step::Finalize,
        Fault::Certificate(CertificateFault::Garbage),
    );
    let (_, error) = Scene::fail(script).await;
    assert!(matches!(error, Error::Chain(_)));
}

#[tokio::test]
async fn the_scripted_ca_issues_faulty_certificates() {
    let lie = |wrong| async move {
        let script = Script::new()
            .lifetime(Duration::from_secs(3600))
            .without_validation();
        let script = match wrong {
            Some(wrong) => script.always(Step::Finalize, Fault::Certificate(wrong)),
            None => script,
        };
        let scene = Scene::new(script).await;
        let (chain, key) = scene.issue().await.unwrap();
        let leaf = verify_chain(&chain, &scene.ca.issuing_root_pem(), NAME);
        leaf.ok()
            .map(|leaf| (is_for_key(&leaf, &key), lifetime(&leaf)))
    };
    assert_eq!(lie(None).await, Some((true, 3600)));
    assert_eq!(lie(Some(CertificateFault::Key)).await, Some((false, 3600)));
    assert_eq!(lie(Some(CertificateFault::Names)).await, None);
    assert_eq!(lie(Some(CertificateFault::Expired)).await, None);
}

fn lifetime(leaf: &[u8]) -> i64 {
    let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
    let validity = leaf.validity();
    validity.not_after.timestamp() - validity.not_before.timestamp()
}
