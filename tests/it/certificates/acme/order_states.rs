//! Orders in every state: ready, pending, mixed, cancelled.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proxy::acme::{
    ChallengeType, Error, Identifier, KeyAuthorization, Order, OrderStatus, Presented, ProblemKind,
    Solver, SolverError,
};
use tokio::time::timeout;

use super::scene::Scene;
use crate::harness::ca::http01::Http01;
use crate::harness::ca::pki::{csr, verify_chain};
use crate::harness::ca::scripted::{Fault, Reply, Script, Step};

const NAME: &str = "www.example.org";

fn name() -> Identifier {
    Identifier::Dns(NAME.to_owned())
}

#[tokio::test]
async fn a_finalize_that_answers_with_the_certificate_is_not_polled() {
    let scene = Scene::new(Script::new().polls(0)).await;
    scene.issue_well().await;
    assert_eq!(scene.ca.count(Step::Order), 0);
}

#[tokio::test]
async fn a_challenge_under_validation_is_waited_for() {
    for (status, kind) in [(409, "conflict"), (400, "malformed")] {
        let reply = Reply::problem(status, kind, "already running");
        let script = Script::new().fault(Step::Challenge, 1, Fault::AnswerAfter(reply));
        let scene = Scene::new(script).await;
        scene.issue_well().await;
        assert_eq!(scene.ca.count(Step::Challenge), 1);
    }
    let reply = Reply::problem(400, "malformed", "no");
    let script = Script::new().always(Step::Challenge, Fault::Answer(reply));
    let (scene, error) = Scene::fail(script).await;
    assert_eq!(error.problem().unwrap().kind, ProblemKind::Malformed);
    assert_eq!(scene.ca.count(Step::Deactivate), 1);
}

#[tokio::test]
async fn an_order_that_is_not_ready_yet_is_read_and_finalized_again() {
    let reply = Reply::problem(403, "orderNotReady", "a moment");
    let script = Script::new().fault(Step::Finalize, 1, Fault::Answer(reply.clone()));
    let scene = Scene::new(script).await;
    scene.issue_well().await;
    assert_eq!(scene.ca.count(Step::Finalize), 2);

    let (scene, error) =
        Scene::fail(Script::new().always(Step::Finalize, Fault::Answer(reply))).await;
    assert_eq!(error.problem().unwrap().kind, ProblemKind::OrderNotReady);
    assert_eq!(scene.ca.count(Step::Finalize), 3);
}

#[tokio::test]
async fn an_order_continues_from_its_present_state() {
    let scene = Scene::new(Script::new().polls(3).reusing_authorizations()).await;
    let account = scene.account().await.unwrap();
    let mut first = Order::create(&account, &[name()]).await.unwrap();
    first.prove(&account, &scene.solver).await.unwrap();
    let (request, _) = csr(&[NAME]);
    let mut left = Box::pin(first.finalize(&account, &request));
    while scene.ca.count(Step::Finalize) == 0 {
        assert!(timeout(Duration::from_millis(5), &mut left).await.is_err());
    }
    drop(left);

    let mut order = Order::resume(&account, first.url().clone()).await.unwrap();
    assert_eq!(*order.status(), OrderStatus::Processing);
    order.prove(&account, &scene.solver).await.unwrap();
    order.finalize(&account, &request).await.unwrap();
    let chain = order.certificate(&account).await.unwrap();
    verify_chain(&chain, &scene.ca.issuing_root_pem(), NAME).unwrap();

    let second = Order::create(&account, &[name()]).await.unwrap();
    assert_eq!(*second.status(), OrderStatus::Ready);
    assert_eq!(scene.ca.count(Step::Challenge), 1);
}

#[tokio::test]
async fn in_a_mixed_order_only_the_new_name_is_challenged() {
    let scene = Scene::new(Script::new().reusing_authorizations()).await;
    let account = scene.account().await.unwrap();
    let first = Order::create(&account, &[name()]).await.unwrap();
    first.prove(&account, &scene.solver).await.unwrap();

    let names = [name(), Identifier::Dns("new.example.org".to_owned())];
    let failing = Order::create(&account, &names).await.unwrap();
    let broken = Broken(ChallengeType::Http01);
    let error = failing.prove(&account, &broken).await.unwrap_err();
    assert!(
        error
            .sentence()
            .contains("for new.example.org could not be presented")
    );

    let mut mixed = Order::create(&account, &names).await.unwrap();
    assert_eq!(*mixed.status(), OrderStatus::Pending);
    mixed.prove(&account, &scene.solver).await.unwrap();
    let (request, _) = csr(&[NAME, "new.example.org"]);
    mixed.finalize(&account, &request).await.unwrap();

    assert_eq!(scene.ca.count(Step::Challenge), 2);
    assert_eq!(
        scene.ca.count(Step::Deactivate),
        1,
        "a valid one was given up"
    );
}

#[tokio::test]
async fn when_one_name_fails_the_other_authorizations_are_deactivated() {
    let scene = Scene::new(Script::new()).await;
    let elsewhere = Http01::start().await;
    let account = scene.account().await.unwrap();
    let names = ["a.example", "b.example", "c.example"];
    let names = names.map(|name| Identifier::Dns(name.to_owned()));
    let order = Order::create(&account, &names).await.unwrap();

    let error = order.prove(&account, &elsewhere).await.unwrap_err();

    assert!(matches!(error, Error::Authorization { .. }));
    assert!(
        error
            .sentence()
            .contains("did not get this machine's answer")
    );
    assert_eq!(scene.ca.count(Step::Challenge), 1);
    assert_eq!(scene.ca.count(Step::Deactivate), 2);
    assert_eq!(elsewhere.len(), 0, "the challenge was left behind");
}

#[tokio::test]
async fn a_challenge_is_removed_when_the_caller_is_cancelled() {
    let scene = Scene::new(Script::new().always(Step::Challenge, Fault::Never)).await;
    let account = scene.account().await.unwrap();
    let order = Order::create(&account, &[name()]).await.unwrap();
    let mut proof = Box::pin(order.prove(&account, &scene.solver));
    while scene.ca.count(Step::Challenge) == 0 {
        assert!(timeout(Duration::from_millis(5), &mut proof).await.is_err());
    }
    assert_eq!(scene.solver.len(), 1);
    drop(proof);
    assert_eq!(scene.solver.len(), 0);
}

/// A solver of another type that fails.
struct Broken(ChallengeType);

impl Solver for Broken {
    fn challenge_type(&self) -> ChallengeType {
        self.0.clone()
    }

    fn present<'a>(
        &'a self,
        _: &'a Identifier,
        _: &'a str,
        _: &'a KeyAuthorization,
    ) -> BoxFuture<'a, Result<Presented, SolverError>> {
        async { Err(SolverError::new("port 80 is taken")) }.boxed()
    }
}

#[tokio::test]
async fn a_solver_that_fails_or_does_not_fit_causes_no_validation() {
    let scene = Scene::new(Script::new()).await;
    let account = scene.account().await.unwrap();
    for (kind, words) in [
        (
            ChallengeType::Http01,
            "could not be presented: port 80 is taken",
        ),
        (
            ChallengeType::Dns01,
            "does not offer dns-01 for www.example.org (only dns-persist-01, http-01)",
        ),
    ] {
        let order = Order::create(&account, &[name()]).await.unwrap();
        let error = order.prove(&account, &Broken(kind)).await.unwrap_err();
        assert!(error.sentence().contains(words), "{}", error.sentence());
    }
    assert_eq!(scene.ca.count(Step::Challenge), 0);
    assert_eq!(scene.ca.count(Step::Deactivate), 2);
}
