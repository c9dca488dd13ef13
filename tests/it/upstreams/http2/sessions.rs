//! HTTP/2 sessions with backends that end, refuse or lie.

use std::sync::Arc;
use std::time::Duration;

use h2::Reason;
use http::{Request, Response};
use http_body_util::BodyExt;
use proxy::upstream::BalanceMethod;
use tokio::sync::Notify;

use super::fixtures::{HOST, LAST, answer, bytes, serve};
use crate::harness::backends::h2_origin::{H2Origin, Session};
use crate::harness::clients::raw::{RawStream, ask};
use crate::harness::deadline::soon;
use crate::harness::service::{ServiceSetup, empty};

async fn answer_all(mut session: Session) {
    while let Some(Ok((_, respond))) = session.accept().await {
        answer(respond, "ok");
    }
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let origin = H2Origin::start(100, async |session, _| answer_all(session).await).await;
    let service = serve(&origin.url()).await;
    let asks = (0..50).map(|_| ask(service.h1, format!("GET / HTTP/1.1\r\n{LAST}")));
    for answer in futures_util::future::join_all(asks).await {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn more_streams_than_the_backend_allows_open_another_connection() {
    let origin = H2Origin::start(2, async |mut session: Session, _| {
        let mut held = Vec::new();
        while let Some(Ok((request, respond))) = session.accept().await {
            match request.uri().path() {
                "/hold" => held.push(respond),
                _ => answer(respond, "ok"),
            }
        }
    })
    .await;
    let service = serve(&origin.url()).await;
    let get = |path| ask(service.h1, format!("GET {path} HTTP/1.1\r\n{LAST}"));
    assert!(get("/").await.starts_with("HTTP/1.1 200 "));
    for count in 1..=2 {
        service.tasks.spawn(get("/hold"));
        service.in_flight(count).await;
    }
    let answer = soon(get("/")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn a_request_that_was_not_begun_before_goaway_is_retried() {
    for method in ["GET", "POST"] {
        let origin = H2Origin::start(100, async |mut session: Session, number| {
            if number > 1 {
                return answer_all(session).await;
            }
            let (_, respond) = session.accept().await.unwrap().unwrap();
            answer(respond, "ok");
            let (_, mut respond) = session.accept().await.unwrap().unwrap();
            respond.send_reset(Reason::REFUSED_STREAM);
            session.graceful_shutdown();
            while session.accept().await.is_some() {}
        })
        .await;
        let service = serve(&origin.url()).await;
        for _ in 0..3 {
            let answer = ask(service.h1, format!("{method} / HTTP/1.1\r\n{LAST}")).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{method}: {answer}");
        }
        assert_eq!(origin.connections(), 2);
    }
}

#[tokio::test]
async fn a_running_stream_continues_after_goaway() {
    let origin = H2Origin::start(100, async |mut session: Session, number| {
        if number > 1 {
            return answer_all(session).await;
        }
        let (_, mut respond) = session.accept().await.unwrap().unwrap();
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(bytes("first"), false).unwrap();
        session.graceful_shutdown();
        let rest = async {
            stream.send_data(bytes(" last"), true).unwrap();
        };
        rest.await;
        while session.accept().await.is_some() {}
    })
    .await;
    let service = serve(&origin.url()).await;
    let answer = ask(service.h1, format!("GET / HTTP/1.1\r\n{LAST}")).await;
    assert!(
        answer.contains("first") && answer.contains(" last"),
        "{answer}"
    );
    let answer = ask(service.h1, format!("GET / HTTP/1.1\r\n{LAST}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_reset_before_the_response_is_a_502_and_not_retried() {
    let origin = H2Origin::start(100, async |mut session: Session, _| {
        while let Some(Ok((_, mut respond))) = session.accept().await {
            respond.send_reset(Reason::INTERNAL_ERROR);
        }
    })
    .await;
    let service = serve(&origin.url()).await;
    for _ in 0..2 {
        let answer = ask(service.h1, format!("GET / HTTP/1.1\r\n{LAST}")).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }
    assert_eq!(origin.connections(), 1);
}

/// A backend that sends half of a response and resets the stream with `reason` once `is_seen` is notified.
async fn cutting(reason: Reason, is_seen: &Arc<Notify>) -> H2Origin {
    let is_seen = Arc::clone(is_seen);
    H2Origin::start(100, move |mut session: Session, _| {
        let is_seen = Arc::clone(&is_seen);
        async move {
            let (_, mut respond) = session.accept().await.unwrap().unwrap();
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            stream.send_data(bytes("half"), false).unwrap();
            tokio::select! {
                _ = session.accept() => {}
                () = is_seen.notified() => stream.send_reset(reason),
            }
            while session.accept().await.is_some() {}
        }
    })
    .await
}

#[tokio::test]
async fn a_truncated_response_never_looks_complete() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let is_seen = Arc::new(Notify::new());
        let origin = cutting(reason, &is_seen).await;
        let service = serve(&origin.url()).await;
        let mut client = RawStream::connect(service.h1).await;
        client.send(format!("GET / HTTP/1.1\r\n{LAST}")).await;
        client.read_until("half").await.unwrap();
        is_seen.notify_one();
        let rest = client.read_to_end().await;
        assert!(!rest.contains("0\r\n\r\n"), "{reason:?}: {rest}");
    }
}

#[tokio::test]
async fn a_cut_response_resets_the_clients_stream_as_an_error() {
    for (reason, expected) in [
        (Reason::NO_ERROR, Reason::INTERNAL_ERROR),
        (Reason::CANCEL, Reason::CANCEL),
        (Reason::INTERNAL_ERROR, Reason::INTERNAL_ERROR),
    ] {
        let is_seen = Arc::new(Notify::new());
        let origin = cutting(reason, &is_seen).await;
        let service = serve(&origin.url()).await;
        let mut client = service.client2().await;
        let request = Request::get(format!("https://{HOST}/"));
        let request = request.body(empty()).unwrap();
        let response = soon(client.send_request(request)).await.unwrap();
        let mut body = response.into_body();
        assert!(soon(body.frame()).await.unwrap().is_ok());
        is_seen.notify_one();
        let error = soon(body.frame()).await.unwrap().unwrap_err();
        let source = std::error::Error::source(&error).unwrap();
        let seen = source.downcast_ref::<h2::Error>().unwrap().reason();
        assert_eq!(seen, Some(expected), "{reason:?}");
    }
}

#[tokio::test]
async fn an_h2c_backend_that_speaks_only_http_1_is_a_502() {
    let origin = crate::harness::backends::origin::Origin::ok().await;
    let service = serve(&format!("h2c://{}", origin.address)).await;
    let answer = ask(service.h1, format!("GET / HTTP/1.1\r\n{LAST}")).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[tokio::test]
async fn a_web_socket_to_an_http_2_only_backend_is_a_502() {
    let origin = H2Origin::start(100, async |session, _| answer_all(session).await).await;
    let service = serve(&origin.url()).await;
    let request = "GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut client = RawStream::connect(service.h1).await;
    client.send(request).await;
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
}

#[tokio::test]
async fn a_stream_that_a_backend_refuses_goes_to_another_one_whatever_the_method_and_the_budget() {
    for method in ["GET", "POST"] {
        let refusing = H2Origin::start(100, async |mut session: Session, _| {
            while let Some(Ok((_, mut respond))) = session.accept().await {
                respond.send_reset(Reason::REFUSED_STREAM);
            }
        });
        let refusing = refusing.await;
        let good = H2Origin::start(100, async |session, _| answer_all(session).await).await;
        let mut setup = ServiceSetup::new();
        setup.upstream.balancing.method = BalanceMethod::RoundRobin;
        setup.upstream.balancing.retries = 0;
        let addresses = [&*refusing.url(), &*good.url()];
        let service = setup.upstream(&addresses, None).start().await;
        for _ in 0..6 {
            let answer = ask(service.h1, format!("{method} / HTTP/1.1\r\n{LAST}")).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{method}: {answer}");
        }
        assert!(refusing.connections() > 0);
        assert!(service.upstreams[0].backends()[0].is_ejected());
    }
}

#[tokio::test]
async fn refused_web_sockets_do_not_eject_an_http_2_backend() {
    let origin = async || H2Origin::start(100, async |session, _| answer_all(session).await).await;
    let (one, other) = (origin().await, origin().await);
    let setup = ServiceSetup::new().upstream(&[&one.url(), &other.url()], None);
    let service = setup.start().await;
    let request = "GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    for _ in 0..10 {
        let mut client = RawStream::connect(service.h1).await;
        client.send(request).await;
        let head = client.read_head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    }
    let backends = service.upstreams[0].backends();
    assert!(backends.iter().all(|backend| !backend.is_ejected()));
}

#[tokio::test]
async fn a_failed_call_frees_its_slot_at_a_backend_with_a_limit() {
    let origin = H2Origin::start(100, async |mut session: Session, _| {
        while let Some(Ok((_, mut respond))) = session.accept().await {
            respond.send_reset(Reason::INTERNAL_ERROR);
        }
    })
    .await;
    let mut setup = ServiceSetup::new();
    setup.upstream.balancing.max_connections = Some(1);
    let service = setup.upstream(&[&origin.url()], None).start().await;
    for _ in 0..3 {
        let answer = soon(ask(service.h1, format!("GET / HTTP/1.1\r\n{LAST}"))).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        service.in_flight(0).await;
    }
}

#[tokio::test]
async fn a_connection_without_answers_gets_no_more_requests() {
    let origin = H2Origin::start(100, async |mut session: Session, number| {
        if number > 1 {
            return answer_all(session).await;
        }
        let mut held = Vec::new();
        while let Some(Ok(stream)) = session.accept().await {
            held.push(stream);
        }
    })
    .await;
    let mut setup = ServiceSetup::new();
    setup.upstream.response_timeout = Some(Duration::from_millis(100));
    let service = setup.upstream(&[&origin.url()], None).start().await;
    for status in [504, 200] {
        let answer = ask(service.h1, format!("GET / HTTP/1.1\r\n{LAST}")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn a_post_that_was_begun_before_goaway_is_not_retried() {
    let origin = H2Origin::start(100, async |mut session: Session, number| {
        if number > 1 {
            return answer_all(session).await;
        }
        let (_, respond) = session.accept().await.unwrap().unwrap();
        answer(respond, "ok");
        let begun = session.accept().await.unwrap().unwrap();
        session.abrupt_shutdown(Reason::NO_ERROR);
        while session.accept().await.is_some() {}
        drop(begun);
    })
    .await;
    let service = serve(&origin.url()).await;
    for status in [200, 502] {
        let answer = ask(service.h1, format!("POST / HTTP/1.1\r\n{LAST}")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    assert_eq!(origin.connections(), 1);
}
