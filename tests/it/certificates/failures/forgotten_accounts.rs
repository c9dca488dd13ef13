//! A CA that no longer knows the account.

use super::ca_faults::start;
use crate::harness::ca::scripted::{Fault, Reply, Script, ScriptedCa, Step};
use crate::harness::proxy::ProxySetup;

fn forgotten() -> Fault {
    Fault::Answer(Reply::problem(
        400,
        "accountDoesNotExist",
        "no such account",
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_the_ca_has_forgotten_is_registered_again() {
    let setup = ProxySetup::new();
    let script =
        Script::new()
            .fault(Step::NewOrder, 1, forgotten())
            .fault(Step::NewAccount, 2, forgotten());
    let ca = ScriptedCa::start(script, setup.http().port()).await;

    let mut proxy = start(setup, &ca).await;

    proxy.logged("the CA no longer knows the account").await;
    proxy.logged("certificate obtained").await;
    // The account is registered, looked up by its key, and registered again; then the order is placed once more.
    assert_eq!(ca.count(Step::NewAccount), 3);
    assert_eq!(ca.count(Step::NewOrder), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_that_forgets_every_account_is_not_asked_in_a_loop() {
    let setup = ProxySetup::new();
    let script = Script::new().always(Step::NewOrder, forgotten());
    let ca = ScriptedCa::start(script, setup.http().port()).await;

    let mut proxy = start(setup, &ca).await;

    let line = proxy.logged("certificate not obtained").await;
    assert!(line.contains("the CA does not know the account"), "{line}");
    assert_eq!(ca.count(Step::NewOrder), 2);
}
