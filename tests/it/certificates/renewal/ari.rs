//! Renewal information of the CA (RFC 9773): the proxy asks for it, follows it, tells the CA what a new certificate
//! replaces, and renews without it too.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proxy::acme::{
    Account, AccountKey, CertId, Client as Acme, Identifier, NewOrder, Options, Order, RenewalInfo,
};
use proxy::certs::challenge::Solvers;
use proxy::certs::issuer::{AcmeIssuer, IssueRequest, Issuer, Predecessor};
use proxy::certs::{
    AttemptCharges, Budgets, Certificate, ChargeableOrder, Clock, Limits, OrderKind, Usage,
};
use proxy::name::{HostName, HostPattern};
use proxy::storage::{FileStorage, Storage};
use rcgen::KeyPair;
use serde_json::json;

use crate::harness::backends::web_app::App;
use crate::harness::ca::http01::Http01;
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::ca::pki::csr;
use crate::harness::ca::scripted::{Fault, Reply, Script, ScriptedCa, Step};
use crate::harness::clients::https::Client;
use crate::harness::proxy::{Proxy, ProxySetup};
use crate::harness::skip::skip;

const NAME: &str = "www.example.org";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// An answer whose window starts this number of days from now and lasts a day.
fn window(days: i64) -> Reply {
    let now = SystemTime::now();
    let shift = DAY * u32::try_from(days.abs()).unwrap();
    let start = if days < 0 { now - shift } else { now + shift };
    let [start, end] =
        [start, start + DAY / 2].map(|time| humantime::format_rfc3339_seconds(time).to_string());
    Reply::json(
        200,
        &json!({
            "suggestedWindow": { "start": start, "end": end },
            "explanationURL": "https://ca.test/why",
        }),
    )
}

/// A CA that wants the first certificate replaced at once and the others later.
fn hasty() -> Script {
    Script::new()
        .lifetime(Duration::from_secs(3600))
        .with_renewal_info()
        .fault(Step::RenewalInfo, 1, Fault::Answer(window(-2)))
        .fault(Step::RenewalInfo, 2, Fault::Answer(window(30)))
}

async fn start(setup: ProxySetup, ca: &ScriptedCa) -> Proxy {
    let app = App::start().await;
    setup
        .args(["--upstream", &app.address.to_string(), "--domain", NAME])
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_in_the_past_renews_at_once_and_names_what_is_replaced() {
    let setup = ProxySetup::new();
    let ca = ScriptedCa::start(hasty(), setup.http().port()).await;
    let client = Client::new(&ca.issuing_root_pem());
    let mut proxy = start(setup, &ca).await;
    proxy.logged("certificate obtained").await;
    let first = client.serial(proxy.https(), NAME).await.unwrap();

    let line = proxy.logged("the CA has moved the renewal time").await;
    assert!(line.contains("https://ca.test/why"), "{line}");
    ca.counted(Step::RenewalInfo, 2).await;

    assert_ne!(client.serial(proxy.https(), NAME).await.unwrap(), first);
    let replaced = ca.replaced();
    assert_eq!(replaced.len(), 2);
    assert_eq!(replaced[0], None);
    assert!(replaced[1].as_deref().unwrap().contains('.'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_refused_for_its_replaces_is_placed_without_it_at_once() {
    for (status, kind) in [
        (409, "alreadyReplaced"),
        (403, "unauthorized"),
        (400, "malformed"),
    ] {
        let refusal = Reply::problem(status, kind, "it was replaced before");
        let script = hasty().fault(Step::NewOrder, 2, Fault::Answer(refusal));
        let setup = ProxySetup::new();
        let ca = ScriptedCa::start(script, setup.http().port()).await;
        let mut proxy = start(setup, &ca).await;

        proxy.logged("placing the order without `replaces`").await;
        ca.counted(Step::RenewalInfo, 2).await;

        assert_eq!(ca.replaced(), [None, None], "{kind}");
        assert_eq!(ca.count(Step::NewOrder), 3, "{kind}");
        assert!(!proxy.log().contains("certificate not obtained"), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_placed_again_without_replaces_counts_against_the_budget() {
    let port_80 = Http01::start().await;
    let refusal = Reply::problem(409, "alreadyReplaced", "it was replaced before");
    let script = hasty().fault(Step::NewOrder, 2, Fault::Answer(refusal));
    let ca = ScriptedCa::start(script, port_80.port()).await;
    let dir = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
    let mut options = Options::new(ca.directory_url());
    options.root_pem = Some(ca.root_pem().into_bytes());
    let solvers = Solvers::new(vec![Arc::new(port_80)]);
    let issuer = AcmeIssuer::with_protocol(options, None, Arc::clone(&storage), solvers).unwrap();
    let subject = HostPattern::parse(NAME).unwrap();
    let request = IssueRequest {
        subject: &subject,
        charges: &AttemptCharges::free(),
        clock: Clock::system(),
        replaces: None,
    };
    let first = issuer.issue(request).await.unwrap();
    issuer.forget_order(&subject).await;

    let counted_order = ChargeableOrder {
        issuer: issuer.id(),
        account: issuer.account(),
        limits: Limits::PUBLIC,
        subject: &subject,
        kind: OrderKind::Replacement,
    };
    let charged = Budgets::new(storage)
        .charge_order(counted_order, SystemTime::now())
        .await;
    let charges = charged.unwrap();
    let former = Predecessor {
        id: CertId::new(b"authority", b"serial"),
        account: first.account().map(str::to_owned),
        has_window: true,
    };
    let request = IssueRequest {
        charges: &charges,
        replaces: Some(&former),
        ..request
    };
    issuer.issue(request).await.unwrap();
    charges.settle(Usage::SIGNED, SystemTime::now()).await;

    assert_eq!(ca.count(Step::NewOrder), 3);
    let folder = dir.path().join("budgets").join(issuer.id());
    let window = std::fs::read_to_string(folder.join("accounts/no-email.json")).unwrap();
    assert_eq!(window.matches(',').count(), 0, "one order: {window}");
    assert!(!folder.join("domains").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_renewal_information_is_ignored() {
    let nonsense = Reply::new(200, "soon");
    let script = Script::new()
        .lifetime(Duration::from_secs(3600))
        .with_renewal_info()
        .always(Step::RenewalInfo, Fault::Answer(nonsense));
    let setup = ProxySetup::new();
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let client = Client::new(&ca.issuing_root_pem());
    let setup = setup.args(["--log-level", "debug"]);
    let mut proxy = start(setup, &ca).await;

    proxy.logged("the CA did not say when to renew").await;

    client.serial(proxy.https(), NAME).await.unwrap();
    assert_eq!(ca.count(Step::RenewalInfo), 1);
    assert_eq!(ca.count(Step::NewOrder), 1);
}

/// Finishes an order for a new key.
async fn finish(order: &mut Order, account: &Account, solver: &Http01) -> CertId {
    order.prove(account, solver).await.unwrap();
    let (csr, key): (Vec<u8>, KeyPair) = csr(&[NAME]);
    order.finalize(account, &csr).await.unwrap();
    let chain = order.certificate(account).await.unwrap();
    let key = key.serialize_pem();
    let certificate = Certificate::from_pem_pair(&chain, key.as_bytes()).unwrap();
    certificate.id().unwrap()
}

#[tokio::test]
async fn pebble_says_when_to_renew_and_takes_one_successor() {
    let solver = Http01::start().await;
    let pebble = Pebble::start(PebbleOptions::new(solver.port())).await;
    let mut options = Options::new(pebble.directory_url());
    options.root_pem = Some(pebble.root_pem().into_bytes());
    let client = Arc::new(Acme::new(options).unwrap());
    let key = AccountKey::generate().unwrap();
    let account = Account::register(Arc::clone(&client), key, &[])
        .await
        .unwrap();
    let names = [Identifier::from(&HostName::parse(NAME).unwrap())];
    let mut order = Order::create(&account, &names).await.unwrap();
    let id = finish(&mut order, &account, &solver).await;

    let info = RenewalInfo::of(&client, &id).await.unwrap();
    if !pebble.has_renewal_info() {
        assert_eq!(info, None);
        skip("this Pebble does not say when to renew");
        return;
    }
    let info = info.unwrap();
    assert!(info.start < info.end && info.start > SystemTime::now());

    // A second order that replaces the same certificate is refused, and placed again without `replaces`.
    let request = NewOrder {
        identifiers: &names,
        profile: None,
        replaces: Some(&id),
    };
    let mut order = Order::place(&account, &request).await.unwrap();
    finish(&mut order, &account, &solver).await;
    let error = Order::place(&account, &request).await.unwrap_err();
    assert!(request.is_refused_for_predecessor(&error), "{error}");
    let mut order = Order::create(&account, &names).await.unwrap();
    finish(&mut order, &account, &solver).await;
}
