//! Cloudflare's API, version 4: zones and their records over JSON.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use url::Url;

use super::error::{CloudflareFault, Dns01Error};
use super::options::CloudflareOptions;
use super::provider::{DnsProvider, TxtRecord};
use crate::certs::secret::Secret;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// The shortest that a zone of any plan may have.
const TTL: u32 = 60;

/// A page of records is a few KiB.
const BODY_LIMIT: usize = 1 << 20;

/// The code of the answer that the very record is there already.
const IDENTICAL: u32 = 81058;

/// Sets records by the API.
#[derive(Debug)]
pub struct Cloudflare {
    token: Secret,
    url: Url,
    http: reqwest::Client,
}

/// What every answer is wrapped in.
#[derive(Deserialize)]
struct Envelope<T> {
    success: bool,
    #[serde(default = "Vec::new")]
    errors: Vec<Complaint>,
    result: Option<T>,
}

#[derive(Deserialize)]
struct Complaint {
    code: u32,
    message: String,
}

#[derive(Deserialize)]
struct Zone {
    id: String,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    content: String,
}

/// A call that the API refused.
struct Refusal {
    status: StatusCode,
    complaints: Vec<Complaint>,
}

enum Failure {
    Fault(CloudflareFault),
    Refused(Refusal),
}

impl Failure {
    fn into_fault(self, action: &'static str) -> CloudflareFault {
        let Refusal { status, complaints } = match self {
            Self::Fault(fault) => return fault,
            Self::Refused(refusal) => refusal,
        };
        let words = complaints.iter().map(|Complaint { code, message }| {
            let message = message.trim_end_matches('.');
            format!("{message} ({code})")
        });
        let said = words.collect::<Vec<_>>().join(", ");
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CloudflareFault::Token(said),
            _ => CloudflareFault::Refused { action, said },
        }
    }
}

impl Cloudflare {
    /// A client of the API; nothing is sent yet.
    pub fn new(options: &CloudflareOptions) -> Result<Self, Dns01Error> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("proxy/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(DEADLINE)
            .build()
            .map_err(|error| Dns01Error::Cloudflare(CloudflareFault::Client(error)))?;
        Ok(Self {
            token: options.token.clone(),
            url: options.url.clone(),
            http,
        })
    }

    async fn add(&self, record: &TxtRecord) -> Result<(), CloudflareFault> {
        let zone = self.zone(&record.name).await?;
        let body = json!({
            "type": "TXT",
            "name": record.name,
            "content": record.value,
            "ttl": TTL,
        });
        let request = self.request(Method::POST, &["zones", &zone, "dns_records"], &[]);
        match self.send::<Entry>(with_json(request, &body)).await {
            Err(Failure::Refused(refusal)) if refusal.has(IDENTICAL) => Ok(()),
            Err(failure) => Err(failure.into_fault("create the record")),
            Ok(_) => Ok(()),
        }
    }

    /// Deletes every record of the name with this very value. They are looked for, since the answer that told the id of
    /// one may have been lost.
    async fn remove(&self, record: &TxtRecord) -> Result<(), CloudflareFault> {
        let zone = self.zone(&record.name).await?;
        let path = ["zones", &zone, "dns_records"];
        let query = [("type", "TXT"), ("name", record.name.as_str())];
        let request = self.request(Method::GET, &path, &query);
        let entries: Vec<Entry> = self
            .send(request)
            .await
            .map_err(|failure| failure.into_fault("list the records"))?
            .unwrap_or_default();
        for entry in entries {
            // The API may show the text in the quotes of a zone file.
            if entry.content.trim_matches('"') != record.value {
                continue;
            }
            let path = ["zones", &zone, "dns_records", &entry.id];
            let request = self.request(Method::DELETE, &path, &[]);
            self.send::<serde_json::Value>(request)
                .await
                .map_err(|failure| failure.into_fault("delete the record"))?;
        }
        Ok(())
    }

    /// The id of the zone that the name is in: the longest parent that is one.
    async fn zone(&self, name: &str) -> Result<String, CloudflareFault> {
        let candidates = std::iter::successors(Some(name), |name| parent(name));
        for candidate in candidates.filter(|candidate| candidate.contains('.')) {
            let request = self.request(Method::GET, &["zones"], &[("name", candidate)]);
            let zones: Vec<Zone> = self
                .send(request)
                .await
                .map_err(|failure| failure.into_fault("list the zones"))?
                .unwrap_or_default();
            if let Some(zone) = zones.into_iter().next() {
                return Ok(zone.id);
            }
        }
        Err(CloudflareFault::NoZone(name.to_owned()))
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http
            .request(method, url)
            .bearer_auth(self.token.expose())
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Option<T>, Failure> {
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = read(response).await?;
        let garbled = || Failure::Fault(CloudflareFault::Garbled(status.as_u16()));
        let envelope: Envelope<T> = serde_json::from_slice(&body).map_err(|_| garbled())?;
        if envelope.success && status.is_success() {
            Ok(envelope.result)
        } else if envelope.errors.is_empty() {
            Err(garbled())
        } else {
            Err(Failure::Refused(Refusal {
                status,
                complaints: envelope.errors,
            }))
        }
    }
}

impl Refusal {
    fn has(&self, code: u32) -> bool {
        self.complaints
            .iter()
            .any(|complaint| complaint.code == code)
    }
}

fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

fn with_json(request: RequestBuilder, body: &serde_json::Value) -> RequestBuilder {
    request
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.to_string())
}

async fn read(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_LIMIT {
            let status = response.status().as_u16();
            return Err(Failure::Fault(CloudflareFault::Garbled(status)));
        }
    }
    Ok(body)
}

/// The cause at the bottom says more than the words around it.
fn unreachable(error: reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Failure::Fault(CloudflareFault::Unreachable(cause.to_string()))
}

impl DnsProvider for Cloudflare {
    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async move { self.add(record).await.map_err(Dns01Error::Cloudflare) }.boxed()
    }

    fn cleanup<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async move { self.remove(record).await.map_err(Dns01Error::Cloudflare) }.boxed()
    }
}
