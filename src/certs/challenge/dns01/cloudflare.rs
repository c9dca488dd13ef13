//! DNS provider: version 4 of Cloudflare's JSON API.

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
use crate::printable::quoted;
use crate::web_client::{WebServers, web_client};

/// Time limit for one call.
const DEADLINE: Duration = Duration::from_secs(20);

/// Time to live of a record, in seconds: the shortest that every plan of Cloudflare allows.
const TTL: u32 = 60;

/// Largest accepted body, in bytes. A page of records has a few KiB.
const BODY_LIMIT: usize = 1 << 20;

/// Error code for a record that exists already.
const IDENTICAL: u32 = 81058;

/// Sets records through the API.
#[derive(Debug)]
pub struct Cloudflare {
    token: Secret,
    url: Url,
    http: reqwest::Client,
}

/// Outer object of every answer.
#[derive(Deserialize)]
struct Envelope<T> {
    success: bool,
    #[serde(default = "Vec::new")]
    errors: Vec<ApiError>,
    result: Option<T>,
}

#[derive(Deserialize)]
struct ApiError {
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

/// Refusal of a call by the API.
struct Refusal {
    status: StatusCode,
    errors: Vec<ApiError>,
}

enum Failure {
    Fault(CloudflareFault),
    Refused(Refusal),
}

impl Failure {
    fn into_fault(self, action: &'static str) -> CloudflareFault {
        let Refusal { status, errors } = match self {
            Self::Fault(fault) => return fault,
            Self::Refused(refusal) => refusal,
        };
        let messages = errors.iter().map(|ApiError { code, message }| {
            let message = message.trim_end_matches('.');
            format!("{message} ({code})")
        });
        let message = messages.collect::<Vec<_>>().join(", ");
        let message = quoted(&message);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CloudflareFault::Token(message),
            _ => CloudflareFault::Refused { action, message },
        }
    }
}

impl Cloudflare {
    /// Creates a client of the API. Sends nothing yet.
    pub fn new(options: &CloudflareOptions) -> Result<Self, Dns01Error> {
        let http = web_client(WebServers::at(&options.url), |client| {
            client.timeout(DEADLINE)
        });
        let http = http.map_err(|error| Dns01Error::Cloudflare(CloudflareFault::Client(error)))?;
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

    /// Deletes every record of the name with this value. Searches for the ids, because the answer with the id of a new
    /// record may have been lost.
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
            // The API may return the text in quotes, as in a zone file.
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

    /// Returns the id of the zone that contains the name: the longest of the name and its parents that is a zone.
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
        let bad_body = || Failure::Fault(CloudflareFault::BadBody(status.as_u16()));
        let envelope: Envelope<T> = serde_json::from_slice(&body).map_err(|_| bad_body())?;
        if envelope.success && status.is_success() {
            Ok(envelope.result)
        } else if envelope.errors.is_empty() {
            Err(bad_body())
        } else {
            Err(Failure::Refused(Refusal {
                status,
                errors: envelope.errors,
            }))
        }
    }
}

impl Refusal {
    fn has(&self, code: u32) -> bool {
        self.errors.iter().any(|error| error.code == code)
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
            return Err(Failure::Fault(CloudflareFault::BadBody(status)));
        }
    }
    Ok(body)
}

/// Keeps only the innermost cause, because it says more than the errors around it.
fn unreachable(error: reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Failure::Fault(CloudflareFault::Unreachable(cause.to_string()))
}

impl DnsProvider for Cloudflare {
    fn check<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async move {
            let zone = self.zone(name).await;
            zone.map(drop).map_err(Dns01Error::Cloudflare)
        }
        .boxed()
    }

    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async move { self.add(record).await.map_err(Dns01Error::Cloudflare) }.boxed()
    }

    fn cleanup<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async move { self.remove(record).await.map_err(Dns01Error::Cloudflare) }.boxed()
    }
}
