//! A stand-in for Cloudflare's API with one zone whose records a DNS server shows.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use http::header::AUTHORIZATION;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proxy::tasks::Tasks;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::dns::server::DnsServer;

/// The only valid token.
pub(crate) const TOKEN: &str = "token-that-never-prints";

const ZONE: &str = "zone-1";

/// A running stand-in; dropping the value ends it.
pub(crate) struct CloudflareApi {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: Tasks,
}

struct Shared {
    dns: Arc<DnsServer>,
    zone: &'static str,
    records: Mutex<Vec<(String, String, String)>>,
    calls: Mutex<Vec<String>>,
}

impl CloudflareApi {
    /// Starts it with `zone`, in which `other` already holds a value of somebody else.
    pub(crate) async fn start(dns: Arc<DnsServer>, zone: &'static str, other: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            dns,
            zone,
            records: Mutex::default(),
            calls: Mutex::default(),
        });
        shared.create(other, "of another");
        let tasks = Tasks::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), tasks.clone()));
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/client/v4", self.address)
    }

    /// Returns method and path of every call so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// Returns the values of all records.
    pub(crate) fn values(&self) -> Vec<String> {
        let records = self.shared.records.lock().unwrap();
        records.iter().map(|(_, _, value)| value.clone()).collect()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: Tasks) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(shared.answer(request).await) }
        });
        tasks.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let path = head.uri.path().trim_start_matches("/client/v4").to_owned();
        let query = head.uri.query().unwrap_or_default().to_owned();
        self.calls
            .lock()
            .unwrap()
            .push(format!("{} {path}?{query}", head.method));
        let good = format!("Bearer {TOKEN}");
        if head
            .headers
            .get(AUTHORIZATION)
            .is_none_or(|given| *given != *good)
        {
            return refused(StatusCode::FORBIDDEN, 9109, "Invalid access token");
        }
        let records = format!("/zones/{ZONE}/dns_records");
        match (head.method, path.as_str()) {
            (Method::GET, "/zones") => {
                let is_zone = query == format!("name={}", self.zone);
                let zones = is_zone.then(|| json!({ "id": ZONE }));
                done(&json!(zones.into_iter().collect::<Vec<_>>()))
            }
            (Method::POST, path) if path == records => {
                let text = |key: &str| body[key].as_str().unwrap().to_owned();
                assert_eq!(text("type"), "TXT");
                match text("name").ends_with(self.zone) {
                    true => done(&self.create(&text("name"), &text("content"))),
                    false => refused(StatusCode::BAD_REQUEST, 9000, "DNS name is invalid."),
                }
            }
            (Method::GET, path) if path == records => done(&self.list(&query)),
            (Method::DELETE, path) => done(&self.delete(path.rsplit('/').next().unwrap())),
            _ => refused(StatusCode::NOT_FOUND, 7003, "No route for that URI"),
        }
    }

    fn create(&self, name: &str, value: &str) -> Value {
        let mut records = self.records.lock().unwrap();
        let id = format!("record-{}", records.len() + 1);
        records.push((id.clone(), name.to_owned(), value.to_owned()));
        self.dns.txt(name, &[value]);
        json!({ "id": id, "name": name, "type": "TXT", "content": value })
    }

    fn list(&self, query: &str) -> Value {
        let records = self.records.lock().unwrap();
        let found = records
            .iter()
            .filter(|(_, name, _)| query == format!("type=TXT&name={name}"))
            .map(|(id, _, value)| json!({ "id": id, "content": format!("\"{value}\"") }));
        found.collect()
    }

    fn delete(&self, id: &str) -> Value {
        let mut records = self.records.lock().unwrap();
        let at = records.iter().position(|(known, _, _)| known == id);
        let (_, name, value) = records.remove(at.unwrap());
        self.dns.remove_txt(&name, &value);
        json!({ "id": id })
    }
}

fn done(result: &Value) -> Response<Full<Bytes>> {
    let body = json!({ "success": true, "errors": [], "messages": [], "result": result });
    Response::new(Full::from(body.to_string()))
}

fn refused(status: StatusCode, code: u32, message: &str) -> Response<Full<Bytes>> {
    let errors = json!([{ "code": code, "message": message }]);
    let body = json!({ "success": false, "errors": errors, "messages": [], "result": null });
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    response
}
