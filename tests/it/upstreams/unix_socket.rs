//! Backends behind unix sockets.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proxy::tasks::Tasks;
use tokio::net::UnixListener;

use crate::harness::clients::raw::ask;
use crate::harness::service::ServiceSetup;

fn post(body: &str) -> String {
    let len = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n{body}"
    )
}

fn serve(listener: UnixListener, tasks: &Tasks) {
    let group = tasks.clone();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let echo = service_fn(async |request: http::Request<hyper::body::Incoming>| {
                let body = request.into_body().collect().await?.to_bytes();
                Ok::<_, hyper::Error>(http::Response::new(Full::<Bytes>::new(body)))
            });
            group.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), echo));
        }
    });
}

#[tokio::test]
async fn an_app_at_a_unix_socket_is_served_and_may_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let address = format!("unix:{}", path.display());
    let service = ServiceSetup::new()
        .upstream(&[&address], None)
        .start()
        .await;

    let answer = ask(service.h1, post("early")).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");

    for body in ["first", "second"] {
        let tasks = Tasks::new();
        let _ = std::fs::remove_file(&path);
        serve(UnixListener::bind(&path).unwrap(), &tasks);
        let answer = ask(service.h1, post(body)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with(body), "{answer}");
    }
}
