//! Heads of requests and responses, which are forwarded unchanged except for hop-by-hop and client fields.

use http::{Request, Version};
use http_body_util::BodyExt;

use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::service::{ServiceSetup, empty, serve};

const URL2: &str = "https://www.example.org/a/../b//c?x=%2e&y";

#[tokio::test]
async fn a_request_reaches_its_backend_with_path_and_host_unchanged() {
    let mut origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    let answer = ask(
        service.h1,
        "GET /a/../b//c?x=%2e&y HTTP/1.1\r\nHost: WWW.example.org:8443\r\nX-One: 1\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    let seen = origin.event().await;
    assert!(
        seen.starts_with("GET /a/../b//c?x=%2e&y HTTP/1.1\r\n"),
        "{seen}"
    );
    assert_eq!(header(&seen, "host"), Some("WWW.example.org:8443"));
    assert_eq!(header(&seen, "x-one"), Some("1"));
    assert_eq!(header(&seen, "connection"), None);
    assert_eq!(
        header(&seen, "x-forwarded-host"),
        Some("WWW.example.org:8443")
    );
    assert_eq!(header(&seen, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(header(&seen, "x-forwarded-proto"), Some("https"));
}

#[tokio::test]
async fn an_http2_request_becomes_the_same_http1_request() {
    let mut origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    let request = Request::get(URL2)
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(empty())
        .unwrap();
    let response = service.fetch2(request).await;
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (200, Version::HTTP_2)
    );
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "ok"
    );
    let seen = origin.event().await;
    assert!(
        seen.starts_with("GET /a/../b//c?x=%2e&y HTTP/1.1\r\n"),
        "{seen}"
    );
    assert_eq!(header(&seen, "host"), Some("www.example.org"));
    assert_eq!(header(&seen, "cookie"), Some("a=1; b=2"));
    assert_eq!(header(&seen, "x-forwarded-host"), Some("www.example.org"));
}

#[tokio::test]
async fn forged_client_fields_are_dropped_and_connection_cannot_undo_it() {
    let mut origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    ask(
        service.h1,
        "GET / HTTP/1.1\r\nHost: www.example.org\r\nX-Forwarded-For: 203.0.113.9\r\nX_Forwarded_For: 203.0.113.9\r\n\
         X-Forwarded-Proto: http\r\nX-Real-IP: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n\
         Connection: close, X-Forwarded-For, Host, X-Mine\r\nX-Mine: 1\r\n\r\n",
    )
    .await;
    let seen = origin.event().await;
    assert!(!seen.contains("203.0.113.9"), "{seen}");
    assert_eq!(header(&seen, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(header(&seen, "x-forwarded-proto"), Some("https"));
    assert_eq!(header(&seen, "host"), Some("www.example.org"));
    assert_eq!(header(&seen, "x-mine"), None);
}

#[tokio::test]
async fn what_an_app_could_take_for_a_framing_field_does_not_reach_it() {
    let mut origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    ask(
        service.h1,
        "POST / HTTP/1.1\r\nHost: www.example.org\r\nTransfer_Encoding: chunked\r\nContent_Length: 99\r\n\
         Content.Length: 99\r\nContent-Length: 3\r\nKeep_Alive: 1\r\nContent_Type: a/b\r\nConnection: close\r\n\r\nabc",
    )
    .await;
    let seen = origin.event().await;
    let names = [
        "transfer_encoding",
        "content_length",
        "content.length",
        "keep_alive",
    ];
    for name in names {
        assert_eq!(header(&seen, name), None, "{seen}");
    }
    assert_eq!(header(&seen, "content-length"), Some("3"));
    assert_eq!(header(&seen, "content_type"), Some("a/b"));
}

#[tokio::test]
async fn hop_by_hop_fields_of_a_response_are_removed() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: x-inner\r\nx-inner: 1\r\n\
         keep-alive: timeout=5\r\nupgrade: h2c\r\nx-outer: 1\r\n\r\nok",
    )
    .await;
    let service = serve(&[origin.address]).await;
    let mut client = RawStream::connect(service.h1).await;
    client
        .send("GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
        .await;
    let head = client.read_head().await.unwrap();
    for name in ["connection", "x-inner", "keep-alive", "upgrade"] {
        assert_eq!(header(&head, name), None, "{head}");
    }
    assert_eq!(header(&head, "x-outer"), Some("1"));
}

#[tokio::test]
async fn connections_to_the_backend_are_reused() {
    let mut origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    for _ in 0..20 {
        let request = Request::get("/")
            .header("host", "www.example.org")
            .body(empty())
            .unwrap();
        let response = service.fetch1(request).await;
        response.into_body().collect().await.unwrap();
        origin.event().await;
    }
    assert!(origin.connections() <= 2, "{}", origin.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_at_once_each_get_their_own_answer() {
    let origin = Origin::start(|mut connection| async move {
        while let Some(head) = connection.raw.read_head().await {
            let id = header(&head, "x-id").unwrap().to_owned();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{id}",
                id.len()
            );
            connection.raw.send(answer).await;
        }
    })
    .await;
    let service = serve(&[origin.address]).await;
    let clients: Vec<_> = (0..20)
        .map(|client| {
            let address = service.h1;
            service.tasks.spawn(async move {
                let mut raw = RawStream::connect(address).await;
                for turn in 0..50 {
                    let id = format!("{client}-{turn}-");
                    raw.send(format!(
                        "GET / HTTP/1.1\r\nHost: www.example.org\r\nX-Id: {id}\r\n\r\n"
                    ))
                    .await;
                    let head = raw.read_head().await.unwrap();
                    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
                    assert_eq!(raw.read_exact(id.len()).await, id.as_bytes());
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert!(origin.connections() <= 60, "{}", origin.connections());
    service.in_flight(0).await;
}

#[tokio::test]
async fn interim_responses_do_not_end_an_exchange() {
    let origin = Origin::answering(
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let service = serve(&[origin.address]).await;
    let request = "GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";
    let answer = ask(service.h1, request).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"),
        "{answer}"
    );
    assert_eq!(
        header(&answer, "link"),
        None,
        "fields of hints do not belong to the answer"
    );
    let request = Request::get("https://www.example.org/").body(empty());
    let response = service.fetch2(request.unwrap()).await;
    assert_eq!(response.status(), 200);
    assert!(response.headers().get("link").is_none());
}

#[tokio::test]
async fn options_for_the_whole_server_stays_unchanged() {
    let mut origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    let request = "OPTIONS * HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";
    ask(service.h1, request).await;
    let seen = origin.event().await;
    assert!(seen.starts_with("OPTIONS * HTTP/1.1\r\n"), "{seen}");
}

#[tokio::test]
async fn http_1_0_clients_get_responses_that_they_understand() {
    let mut origin = Origin::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    )
    .await;
    let service = serve(&[origin.address]).await;
    let answer = ask(
        service.h1,
        "GET / HTTP/1.0\r\nHost: www.example.org\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert_eq!(header(&answer, "transfer-encoding"), None);
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    assert!(origin.event().await.starts_with("GET / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn too_many_fields_are_refused_over_both_protocols() {
    let mut origin = Origin::ok().await;
    let mut setup = ServiceSetup::new().site("www.example.org", &[origin.address]);
    setup.options.head_fields = 20;
    let service = setup.start().await;
    let mut request = Request::get(URL2);
    for index in 0..30 {
        request = request.header("x", format!("c{index}=1"));
    }
    assert_eq!(
        service
            .fetch2(request.body(empty()).unwrap())
            .await
            .status(),
        431
    );
    let fields = "X: 1\r\n".repeat(30);
    let answer = ask(
        service.h1,
        format!("GET / HTTP/1.1\r\nHost: www.example.org\r\n{fields}\r\n"),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(origin.is_quiet());
}

#[tokio::test]
async fn the_proxys_own_answers_over_http_2_have_a_length_and_a_date() {
    let origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    let request = Request::get("https://other.example.org/").body(empty());
    let response = service.fetch2(request.unwrap()).await;
    assert_eq!(response.status(), 421);
    let length = response.headers()["content-length"].to_str().unwrap();
    let length: usize = length.parse().unwrap();
    let date = response.headers()["date"].to_str().unwrap();
    httpdate::parse_http_date(date).unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes().len(), length);
}
