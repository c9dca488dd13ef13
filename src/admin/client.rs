//! The client of the admin socket.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::spawn_blocking;
use url::form_urlencoded::byte_serialize;

use super::checks::{CheckReport, CheckRequest, RehearsalRequest};
use super::error::Error;
use super::response::{
    Done, Page, Refused, Reloaded, Report, RevokeRequest, Stopped, UpgradeRequest, Upgraded,
};
use super::status::Status;

/// Time between the last connection of the proxy and the end of its process.
const END_TIMEOUT: Timespec = Timespec {
    tv_sec: 30,
    tv_nsec: 0,
};

/// A running proxy.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
}

impl Client {
    /// Connects to the socket at `path`. Returns `None` if no proxy listens there.
    pub async fn find(path: &Path) -> Result<Option<Self>, Error> {
        match UnixStream::connect(path).await {
            Ok(_) => Ok(Some(Self {
                path: path.to_owned(),
            })),
            Err(source) => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                _ => Err(unreachable(path, source)),
            },
        }
    }

    /// Returns the path of its socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the status of the proxy, or of the site that has or serves a name.
    pub async fn status(&self, site: Option<&str>) -> Result<Status, Error> {
        let query = site.map(|name| format!("?site={}", encoded(name)));
        let path = format!("/status{}", query.unwrap_or_default());
        self.ask(Method::GET, &path).await
    }

    /// Returns the names after `after` in order.
    pub async fn page(&self, after: Option<&str>, limit: usize) -> Result<Page, Error> {
        let after = after.map(|after| format!("&after={}", encoded(after)));
        let after = after.unwrap_or_default();
        self.ask(Method::GET, &format!("/certificates?limit={limit}{after}"))
            .await
    }

    /// Returns everything known about a name.
    pub async fn report(&self, name: &str) -> Result<Report, Error> {
        self.ask(Method::GET, &format!("/certificates/{}", encoded(name)))
            .await
    }

    /// Renews the certificate of a name now, and waits for the result.
    pub async fn renew(&self, name: &str) -> Result<Done, Error> {
        let path = format!("/certificates/{}/renew", encoded(name));
        self.ask(Method::POST, &path).await
    }

    /// Revokes the certificate of a name.
    pub async fn revoke(&self, name: &str, reason: &str) -> Result<Done, Error> {
        let path = format!("/certificates/{}/revoke", encoded(name));
        let reason = reason.to_owned();
        let body = serde_json::to_vec(&RevokeRequest { reason }).unwrap_or_default();
        self.send(Method::POST, &path, body.into()).await
    }

    /// Changes the keys of the accounts at the CAs.
    pub async fn roll_account_keys(&self) -> Result<Done, Error> {
        self.ask(Method::POST, "/account/rollover").await
    }

    /// Reloads the configuration of the proxy. Returns what has changed.
    pub async fn reload(&self) -> Result<Reloaded, Error> {
        self.ask(Method::POST, "/reload").await
    }

    /// Replaces the process of the proxy by a new one, which runs `binary` or the file of the running one, and waits until it
    /// serves.
    pub async fn upgrade(&self, binary: Option<PathBuf>) -> Result<Upgraded, Error> {
        let body = serde_json::to_vec(&UpgradeRequest { binary }).unwrap_or_default();
        self.send(Method::POST, "/upgrade", body.into()).await
    }

    /// Has the proxy check what must hold for these names, or for all configured ones if there are none.
    pub async fn check(&self, names: Vec<String>) -> Result<CheckReport, Error> {
        let body = serde_json::to_vec(&CheckRequest { names }).unwrap_or_default();
        self.send(Method::POST, "/doctor", body.into()).await
    }

    /// Has the proxy order certificates at staging CAs, and throw them away.
    pub async fn rehearse(&self, request: &RehearsalRequest) -> Result<CheckReport, Error> {
        let body = serde_json::to_vec(request).unwrap_or_default();
        self.send(Method::POST, "/rehearse", body.into()).await
    }

    /// Stops the proxy, and waits until its process has ended.
    pub async fn stop(&self) -> Result<Stopped, Error> {
        let failed = |source| Error::Connect {
            path: self.path.clone(),
            source,
        };
        let process = self.process().await.map_err(failed)?;
        let stopped = self.ask(Method::POST, "/stop").await?;
        if let Some(process) = process {
            // It writes its last lines yet.
            let _ = spawn_blocking(move || wait_for_end(&process)).await;
        }
        Ok(stopped)
    }

    /// Opens the process that listens on the socket. `None` if it is not to be seen from here, as in another container.
    async fn process(&self) -> io::Result<Option<OwnedFd>> {
        let stream = UnixStream::connect(&self.path).await?;
        let pid = stream.peer_cred()?.pid().and_then(Pid::from_raw);
        Ok(pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()))
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, Error> {
        self.send(method, path, Bytes::new()).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, Error> {
        let failed = |source| Error::Connection {
            path: self.path.clone(),
            source,
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "admin")
            .body(Full::new(body));
        let request = request.map_err(|_| Error::NoResource(path.to_owned()))?;
        let stream = UnixStream::connect(&self.path).await;
        let stream = stream.map_err(|source| unreachable(&self.path, source))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(failed)?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?;
            Ok((status, body.to_bytes()))
        };
        // An early end of the connection is also the error of the exchange.
        let (answer, _) = tokio::join!(exchange, connection);
        let (status, body) = answer.map_err(failed)?;
        self.read(status, &body)
    }

    fn read<T: DeserializeOwned>(&self, status: StatusCode, body: &[u8]) -> Result<T, Error> {
        let unreadable = |_| Error::Response(self.path.clone());
        if status.is_success() {
            return serde_json::from_slice(body).map_err(unreadable);
        }
        let refused: Refused = serde_json::from_slice(body).map_err(unreadable)?;
        Err(Error::Refused {
            status,
            sentence: refused.error,
        })
    }
}

/// Waits until the process has ended. Blocks.
fn wait_for_end(process: &OwnedFd) {
    // A descriptor of a process becomes readable at its end.
    let _ = poll(
        &mut [PollFd::new(process, PollFlags::IN)],
        Some(&END_TIMEOUT),
    );
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

fn unreachable(path: &Path, source: io::Error) -> Error {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied => Error::Denied(path),
        _ => Error::Connect { path, source },
    }
}
