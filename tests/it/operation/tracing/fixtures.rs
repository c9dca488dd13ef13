//! A proxy over plain HTTP with a collector of traces, and requests to it.

use std::net::SocketAddr;

use crate::harness::clients::raw::{ask, header};
use crate::harness::proxy::{Proxy, ProxySetup};

pub(super) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A Proxyfile with the site `app.test`, served over plain HTTP by these backends.
pub(super) fn proxyfile(top: &str, backends: &[SocketAddr]) -> String {
    let backends: Vec<_> = backends.iter().map(ToString::to_string).collect();
    format!(
        "access-log = \"-\"\n{top}\n[sites.\"app.test\"]\nhttp = \"serve\"\nupstream = {backends:?}\n"
    )
}

pub(super) async fn start(top: &str, backends: &[SocketAddr]) -> Proxy {
    let setup = ProxySetup::new().proxyfile(&proxyfile(top, backends));
    setup.start().await
}

/// The lines at the top of a Proxyfile that export all traces to this address.
pub(super) fn tracing(collector: SocketAddr) -> String {
    format!("tracing = \"http://{collector}\"")
}

/// Asks the site for a path, with more fields in the head.
pub(super) async fn get(proxy: &Proxy, path: &str, fields: &str) -> String {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n{fields}\r\n");
    ask(proxy.http(), request).await
}

/// Value of a field with the context of a trace that nobody else uses.
pub(super) fn traceparent(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-b7ad6b7169203331-{flags}\r\n")
}

/// Trace id, span id and flags in the head of a request that a backend has received.
pub(super) fn received(head: &str) -> [&str; 3] {
    let value = header(head, "traceparent").unwrap_or_else(|| panic!("{head}"));
    let fields = head.matches("traceparent:").count();
    assert_eq!((value.len(), fields), (55, 1), "{head}");
    assert!(value.starts_with("00-"), "{head}");
    let parts: Vec<_> = value.split('-').skip(1).collect();
    parts.try_into().unwrap()
}
