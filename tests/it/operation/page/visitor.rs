//! A raw client of the status page, and its stream of events.

use std::net::SocketAddr;

use serde_json::Value;

use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::proxy::Proxy;

/// A token of a page.
pub(super) const TOKEN: &str = "c2VjcmV0LXRva2Vu-1";

/// The settings of a page on this address, with a token.
pub(super) fn with_token(address: impl ToString, token: &str) -> String {
    let address = address.to_string();
    format!("page = \"{address}\"\npage-token = \"{token}\"\n")
}

/// The address of the page of a proxy that was given port 0.
pub(super) async fn page_address(proxy: &mut Proxy) -> SocketAddr {
    let line = proxy.logged("serving the status page").await;
    let (_, address) = line.split_once("address=").unwrap();
    address.trim().parse().unwrap()
}

/// A visitor, with the fields of all its requests.
#[derive(Clone)]
pub(super) struct Visitor {
    address: SocketAddr,
    fields: String,
}

impl Visitor {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            fields: format!("host: {address}\r\n"),
        }
    }

    /// A visitor with the cookie for this token.
    pub(super) async fn admitted(address: SocketAddr, token: &str) -> Self {
        let visitor = Self::new(address);
        let answer = visitor.get(&format!("/?token={token}")).await;
        let cookie = header(&answer, "set-cookie").unwrap_or_else(|| panic!("{answer}"));
        let pair = cookie.split(';').next().unwrap().to_owned();
        visitor.with("cookie", &pair)
    }

    /// Names another host.
    pub(super) fn naming(&self, host: &str) -> Self {
        Self {
            address: self.address,
            fields: format!("host: {host}\r\n"),
        }
    }

    /// Sends another field.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        Self {
            address: self.address,
            fields: format!("{}{name}: {value}\r\n", self.fields),
        }
    }

    pub(super) async fn get(&self, target: &str) -> String {
        self.send("GET", target, "").await
    }

    pub(super) async fn post(&self, target: &str, form: &str) -> String {
        self.send("POST", target, form).await
    }

    pub(super) async fn send(&self, method: &str, target: &str, body: &str) -> String {
        ask(self.address, self.request(method, target, body)).await
    }

    /// Posts a form, and returns the connection before there is an answer.
    pub(super) async fn leaving(&self, target: &str, form: &str) -> RawStream {
        let mut stream = RawStream::connect(self.address).await;
        stream.send(self.request("POST", target, form)).await;
        stream
    }

    fn request(&self, method: &str, target: &str, body: &str) -> String {
        let (fields, len) = (&self.fields, body.len());
        format!("{method} {target} HTTP/1.1\r\n{fields}content-length: {len}\r\n\r\n{body}")
    }

    /// Opens the stream of events.
    pub(super) async fn events(&self) -> Events {
        // Over HTTP/1.0 the body has no chunks.
        let request = format!("GET /events HTTP/1.0\r\n{}\r\n", self.fields);
        let mut stream = RawStream::connect(self.address).await;
        stream.send(request).await;
        let head = stream.read_head().await.unwrap();
        Events { head, stream }
    }
}

/// A stream of events.
pub(super) struct Events {
    pub(super) head: String,
    stream: RawStream,
}

impl Events {
    /// Returns the name and the data of the next event. `None` if the stream has ended.
    pub(super) async fn next(&mut self) -> Option<(String, Value)> {
        let text = self.stream.read_until("\n\n").await?;
        let line = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)).unwrap()
        };
        let data = serde_json::from_str(line("data: ")).unwrap();
        Some((line("event: ").to_owned(), data))
    }

    /// Reads the events up to the whole view, and returns that.
    pub(super) async fn whole(&mut self) -> Value {
        loop {
            let (event, data) = self.next().await.unwrap();
            if event == "whole" {
                return data;
            }
        }
    }

    /// Reads events until one of them fits, and returns it. The whole view counts, too.
    pub(super) async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (_, data) = self.next().await.unwrap();
            if fits(&data) {
                return data;
            }
        }
    }

    /// Waits until the stream has ended.
    pub(super) async fn ended(mut self) {
        while self.next().await.is_some() {}
    }
}
