//! Active health checks of backends over TLS, HTTP/2 and unix sockets.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Empty;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proxy::tasks::Tasks;
use proxy::upstream::HealthOptions;
use tokio::net::UnixListener;

use crate::harness::backends::h2_origin::{H2Origin, Session};
use crate::harness::backends::nginx::Nginx;
use crate::harness::ca::pki::TestCa;
use crate::harness::deadline::soon;
use crate::harness::service::{Service, ServiceSetup};

async fn checked(address: &str, root: Option<PathBuf>) -> Service {
    let mut setup = ServiceSetup::new();
    setup.upstream.tls.root = root;
    setup.upstream.balancing.health = Some(HealthOptions {
        interval: Duration::from_millis(20),
        ..HealthOptions::new("/healthz".to_owned())
    });
    setup.upstream(&[address], None).start().await
}

async fn until_down(service: &Service, is_down: bool) {
    soon(async {
        while service.upstreams[0].backends()[0].is_down() != is_down {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn status(is_healthy: &AtomicBool) -> StatusCode {
    if is_healthy.load(Ordering::SeqCst) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

#[tokio::test]
async fn a_tls_backend_is_checked_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let healthy = dir.path().join("healthy");
    let lines = format!(
        "location /healthz {{ if (-f {}) {{ return 204; }} return 503; }}",
        healthy.display()
    );
    for nginx in [
        Nginx::start(&TestCa::root("backends"), &lines).await,
        Nginx::start_http2(&TestCa::root("backends"), &lines).await,
    ] {
        let _ = std::fs::remove_file(&healthy);
        let service = checked(&nginx.url(), Some(nginx.root())).await;
        until_down(&service, true).await;
        std::fs::write(&healthy, "").unwrap();
        until_down(&service, false).await;
    }
}

#[tokio::test]
async fn a_check_fails_if_the_certificate_is_not_trusted() {
    let lines = "location /healthz { return 204; }";
    let nginx = Nginx::start(&TestCa::root("backends"), lines).await;
    let service = checked(&nginx.url(), None).await;
    until_down(&service, true).await;
}

#[tokio::test]
async fn an_http_2_backend_is_checked_over_http_2() {
    let is_healthy = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_healthy);
    let origin = H2Origin::start(100, move |mut session: Session, _| {
        let is_healthy = Arc::clone(&asked);
        async move {
            while let Some(Ok((request, mut respond))) = session.accept().await {
                assert_eq!(request.uri().path(), "/healthz");
                let mut response = Response::new(());
                *response.status_mut() = status(&is_healthy);
                respond.send_response(response, true).unwrap();
            }
        }
    })
    .await;
    let service = checked(&origin.url(), None).await;
    until_down(&service, true).await;
    is_healthy.store(true, Ordering::SeqCst);
    until_down(&service, false).await;
}

#[tokio::test]
async fn a_unix_socket_backend_is_checked_over_its_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let service = checked(&format!("unix:{}", path.display()), None).await;
    until_down(&service, true).await;

    let (listener, tasks) = (UnixListener::bind(&path).unwrap(), Tasks::new());
    let group = tasks.clone();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer =
                service_fn(async |_| Ok::<_, hyper::Error>(Response::new(Empty::<Bytes>::new())));
            let serving = hyper::server::conn::http1::Builder::new();
            group.spawn(serving.serve_connection(TokioIo::new(stream), answer));
        }
    });
    until_down(&service, false).await;
}
