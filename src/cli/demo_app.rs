//! The built-in app of the demo: a page that shows the request as it arrived, and an echo of request bodies.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Either;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::log_limit::LogLimit;
use crate::tasks::Tasks;
use crate::uninterrupted::repeat;

/// Pause after a failure to accept: the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Body = Either<Full<Bytes>, Incoming>;

/// Starts the app on a free loopback port and on its own thread, which lasts as long as the process.
pub(super) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("demo-app".to_owned())
        .spawn(move || runtime.block_on(serve(listener)))?;
    Ok(address)
}

async fn serve(listener: TcpListener) {
    let tasks = Tasks::new();
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "demo app cannot listen"),
    };
    let failure_log = LogLimit::default();
    loop {
        match repeat(|| listener.accept()).await {
            Ok((stream, _)) => {
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                tasks.spawn(connection);
            }
            Err(error) => {
                if let Some(failures) = failure_log.count() {
                    tracing::warn!(%error, failures, "demo app cannot accept");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    Ok(match request.uri().path() {
        "/" => page(&request),
        "/echo" => echo(request),
        _ => text(StatusCode::NOT_FOUND, "Not found; try / or /echo.\n"),
    })
}

fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Either::Right(body));
    let plain = HeaderValue::from_static("application/octet-stream");
    let content_type = head.headers.get(CONTENT_TYPE).cloned().unwrap_or(plain);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(text)));
    *response.status_mut() = status;
    response
}

fn page(request: &Request<Incoming>) -> Response<Body> {
    let html = format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>It works</title>
<style>
body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 42rem; margin: 4rem auto; padding: 0 1rem; color: #1c2b33 }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #d8e0e4 }}
td {{ font-family: ui-monospace, monospace; overflow-wrap: anywhere }}
</style>
<h1>It works</h1>
<p>This page comes from a small app behind the proxy. Your browser speaks TLS to the proxy. The app received your request
over plain {protocol}, like this:</p>
<table>
<tr><th>{method}<td>{target}
{rows}</table>
<p><code>/echo</code> returns the body of your request.</p>
</html>
"#,
        protocol = escape(&format!("{:?}", request.version())),
        method = escape(request.method().as_str()),
        target = escape(&request.uri().to_string()),
        rows = rows(request.headers()),
    );
    let mut response = Response::new(Either::Left(Full::from(html)));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}

fn rows(headers: &HeaderMap) -> String {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            format!("<tr><th>{}<td>{}\n", escape(name.as_str()), escape(&value))
        })
        .collect()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn the_page_shows_the_request_without_trusting_it() {
        let address = start().unwrap();
        let request = "GET /?a=b HTTP/1.1\r\nhost: localhost\r\nx-test: <script>\r\nconnection: close\r\n\r\n";
        let page = ask(address, request);
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert!(page.contains("<tr><th>x-test<td>&lt;script&gt;"), "{page}");
        assert!(!page.contains("<script>"), "{page}");
    }

    #[test]
    fn the_echo_sends_the_body_back() {
        let address = start().unwrap();
        let request = "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        assert!(ask(address, request).ends_with("\r\n\r\nhello"));
        assert!(
            ask(
                address,
                "GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
            )
            .starts_with("HTTP/1.1 404")
        );
    }
}
