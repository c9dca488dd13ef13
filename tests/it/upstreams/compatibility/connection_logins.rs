//! NTLM and Negotiate, which log a user in on a connection: it belongs to the client's connection from then on.

use std::process::Stdio;
use std::time::Duration;

use proxy::upstream::SendProxy;
use tokio::process::Command;

use crate::harness::backends::origin::{Origin, OriginConnection};
use crate::harness::clients::raw::{RawStream, header};
use crate::harness::deadline::soon;
use crate::harness::service::{Service, ServiceSetup, serve};

/// A message of type 2 with a challenge and no target.
const CHALLENGE: &str = "TlRMTVNTUAACAAAAAAAAAAAAAAABggAAASNFZ4mrze8AAAAAAAAAAAAAAAAAAAAA";

/// Answers like a server that logs users in on connections. The body of a success is the number of the connection.
async fn answer_logins(mut connection: OriginConnection) {
    let mut is_logged_in = false;
    while let Some(head) = connection.raw.read_late_head().await {
        let login = header(&head, "authorization").unwrap_or_default();
        let is_first = login.starts_with("NTLM TlRMTVNTUAAB");
        is_logged_in |= login.starts_with("NTLM TlRMTVNTUAAD") || login == "Negotiate ticket";
        let number = connection.number.to_string();
        connection
            .raw
            .send(match (is_logged_in, is_first) {
                (true, _) => format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{number}",
                    number.len()
                ),
                (false, true) => {
                    format!("HTTP/1.1 401 Unauthorized\r\nwww-authenticate: NTLM {CHALLENGE}\r\ncontent-length: 0\r\n\r\n")
                }
                (false, false) => "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Negotiate\r\nwww-authenticate: NTLM\r\ncontent-length: 5\r\n\r\nlogin".to_owned(),
            })
            .await;
    }
    connection.tell("closed");
}

/// Sends a request on `client` with this value of Authorization. Returns the status and the body.
async fn ask(client: &mut RawStream, authorization: &str) -> (String, String) {
    let field = match authorization {
        "" => String::new(),
        value => format!("Authorization: {value}\r\n"),
    };
    client
        .send(format!(
            "GET / HTTP/1.1\r\nHost: www.example.org\r\n{field}\r\n"
        ))
        .await;
    let head = soon(client.read_head()).await.unwrap();
    let body = client.read_body(&head).await.unwrap();
    (head[9..12].to_owned(), body)
}

async fn log_in(client: &mut RawStream) -> String {
    assert_eq!(ask(client, "").await.0, "401");
    assert_eq!(ask(client, "NTLM TlRMTVNTUAABAAAA").await.0, "401");
    let (status, number) = ask(client, "NTLM TlRMTVNTUAADAAAA").await;
    assert_eq!(status, "200");
    number
}

#[tokio::test]
async fn a_login_serves_its_own_client_and_never_another() {
    // Given a client that has logged in.
    let mut origin = Origin::start(answer_logins).await;
    let service = serve(&[origin.address]).await;
    let mut one = RawStream::connect(service.h1).await;
    let number = log_in(&mut one).await;

    // When it and another client send requests in turn.
    let mut other = RawStream::connect(service.h1).await;
    for _ in 0..3 {
        // Then it stays logged in on its connection, and the other has to log in on one of its own.
        assert_eq!(ask(&mut other, "").await.0, "401");
        let expected = ("200".to_owned(), number.clone());
        assert_eq!(ask(&mut one, "").await, expected);
    }
    assert_ne!(log_in(&mut other).await, number);
    assert_eq!(origin.connections(), 2);

    // And the backend's connection closes with the client's.
    drop(one);
    assert_eq!(origin.event().await, "closed");
    let mut third = RawStream::connect(service.h1).await;
    assert_eq!(ask(&mut third, "").await.0, "401");
}

#[tokio::test]
async fn a_login_that_no_challenge_has_preceded_is_never_pooled() {
    let origin = Origin::start(answer_logins).await;
    let service = serve(&[origin.address]).await;
    let mut one = RawStream::connect(service.h1).await;
    assert_eq!(ask(&mut one, "Negotiate ticket").await.0, "200");
    assert_eq!(ask(&mut one, "").await.0, "200");
    let mut other = RawStream::connect(service.h1).await;
    assert_eq!(ask(&mut other, "").await.0, "401");
}

#[tokio::test]
async fn a_login_works_where_each_connection_names_its_client() {
    let origin = Origin::start(|mut connection| async move {
        connection.raw.read_until("\r\n").await.unwrap();
        answer_logins(connection).await;
    })
    .await;
    let mut setup = ServiceSetup::new();
    setup.upstream.send_proxy = Some(SendProxy::V1);
    let service = setup
        .site("www.example.org", &[origin.address])
        .start()
        .await;
    let mut one = RawStream::connect(service.h1).await;
    log_in(&mut one).await;
    assert_eq!(ask(&mut one, "").await.0, "200");
    let mut other = RawStream::connect(service.h1).await;
    assert_eq!(ask(&mut other, "").await.0, "401");
}

#[tokio::test]
async fn a_login_offered_with_any_status_binds_the_connection() {
    let offer = "HTTP/1.1 200 OK\r\nwww-authenticate: Negotiate\r\ncontent-length: 2\r\n\r\nok";
    let origin = Origin::answering(offer).await;
    let service = serve(&[origin.address]).await;
    for _ in 0..2 {
        let mut client = RawStream::connect(service.h1).await;
        assert_eq!(ask(&mut client, "").await.0, "200");
        assert_eq!(ask(&mut client, "").await.0, "200");
    }
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn a_login_ends_when_its_connection_is_idle_for_a_minute() {
    let mut origin = Origin::start(answer_logins).await;
    let service = serve(&[origin.address]).await;
    let mut client = RawStream::connect(service.h1).await;
    let number = log_in(&mut client).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(50)).await;
    tokio::time::resume();
    assert_eq!(ask(&mut client, "").await.0, "200");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(66)).await;
    tokio::time::resume();
    assert_eq!(origin.event().await, "closed");
    // The client is asked to log in again, and can.
    assert_ne!(log_in(&mut client).await, number);
    assert_eq!(ask(&mut client, "").await.0, "200");
}

#[tokio::test]
async fn of_several_backends_the_one_with_the_login_gets_all_requests() {
    let (one, other) = (
        Origin::start(answer_logins).await,
        Origin::start(answer_logins).await,
    );
    let service = ServiceSetup::new()
        .site("www.example.org", &[one.address, other.address])
        .start()
        .await;
    let mut client = RawStream::connect(service.h1).await;
    let number = log_in(&mut client).await;
    for _ in 0..10 {
        assert_eq!(
            ask(&mut client, "").await,
            ("200".to_owned(), number.clone())
        );
    }
    assert_eq!(one.connections() + other.connections(), 1);
}

/// Runs curl with NTLM for two URLs of the service. Returns the statuses of its last answers.
async fn curl(service: &Service) -> String {
    let url = format!("http://{}/", service.h1);
    let output = Command::new("curl")
        .args(["-s", "--ntlm", "-u", "anna:secret", "-w", "%{http_code} "])
        .args(["-H", "Host: www.example.org", "-o", "/dev/null", "-o"])
        .args(["/dev/null", &url, &url])
        .stdin(Stdio::null())
        .output();
    String::from_utf8(soon(output).await.unwrap().stdout).unwrap()
}

#[tokio::test]
async fn curl_logs_in_with_ntlm() {
    let origin = Origin::start(answer_logins).await;
    let service = serve(&[origin.address]).await;
    assert_eq!(curl(&service).await, "200 200 ");
    let mut stranger = RawStream::connect(service.h1).await;
    assert_eq!(ask(&mut stranger, "").await.0, "401");
}
