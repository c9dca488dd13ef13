//! A collector of traces over OTLP, which reads every message and answers as the test wants.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proxy::tasks::Tasks;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::protobuf::Message;
use crate::harness::clients::raw::{RawStream, header};
use crate::harness::deadline::soon;

pub(crate) const TAKEN: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

/// A collector on a port of its own.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    exports: UnboundedReceiver<Export>,
    spans: VecDeque<Span>,
    _tasks: Tasks,
}

/// One message to a collector.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    pub(crate) head: String,
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) spans: Vec<Span>,
}

/// One span as it was exported.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) is_server: bool,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) is_failure: bool,
}

impl Collector {
    /// Starts a collector that takes everything.
    pub(crate) async fn start() -> Self {
        Self::answering(|_| TAKEN).await
    }

    /// Starts a collector that answers each message, counted from 1, with this. It does not answer with an empty text.
    pub(crate) async fn answering(answer: fn(usize) -> &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, exports) = unbounded_channel();
        let (tasks, count) = (Tasks::new(), Arc::new(AtomicUsize::new(0)));
        let group = tasks.clone();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, count) = (sender.clone(), Arc::clone(&count));
                let mut client = RawStream::new(stream);
                group.spawn(async move {
                    while let Some(head) = client.read_late_head().await {
                        let len = header(&head, "content-length").unwrap().parse().unwrap();
                        let body = client.read_exact(len).await;
                        let _ = sender.send(Export::read(head, &body));
                        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                        client.send(answer(number)).await;
                    }
                });
            }
        });
        Self {
            address,
            exports,
            spans: VecDeque::new(),
            _tasks: tasks,
        }
    }

    /// Waits for the next message.
    pub(crate) async fn export(&mut self) -> Export {
        soon(self.exports.recv()).await.unwrap()
    }

    /// Waits for the next span.
    pub(crate) async fn span(&mut self) -> Span {
        loop {
            if let Some(span) = self.spans.pop_front() {
                return span;
            }
            let export = self.export().await;
            self.spans.extend(export.spans);
        }
    }

    /// Waits for the span of the next request, and returns it with those of its attempts in their order.
    pub(crate) async fn request(&mut self) -> (Span, Vec<Span>) {
        let mut attempts = Vec::new();
        loop {
            let span = self.span().await;
            if span.is_server {
                return (span, attempts);
            }
            attempts.push(span);
        }
    }

    /// Returns the spans that have arrived and that no one has waited for.
    pub(crate) fn rest(&mut self) -> Vec<Span> {
        while let Ok(export) = self.exports.try_recv() {
            self.spans.extend(export.spans);
        }
        self.spans.drain(..).collect()
    }
}

impl Export {
    /// Reads an `ExportTraceServiceRequest`.
    fn read(head: String, body: &[u8]) -> Self {
        let message = Message::read(body);
        let of_resource = message.message(1);
        let resource = of_resource.message(1);
        let scopes = of_resource.messages(2);
        let spans = scopes.flat_map(|scope| {
            assert_eq!(scope.message(1).text(1), "proxy");
            scope.messages(2).map(Span::read).collect::<Vec<_>>()
        });
        Self {
            head,
            spans: spans.collect(),
            resource: attributes(resource.messages(1)),
        }
    }
}

impl Span {
    fn read(message: Message<'_>) -> Self {
        let kind = message.number(6).unwrap();
        assert!(kind == 2 || kind == 3, "server or client: {kind}");
        let status = message.messages(15).next();
        let span = Self {
            trace: message.hex(1),
            id: message.hex(2),
            parent: message.hex(4),
            name: message.text(5),
            is_server: kind == 2,
            start: message.number(7).unwrap(),
            end: message.number(8).unwrap(),
            attributes: attributes(message.messages(9)),
            is_failure: status.is_some_and(|status| status.number(3) == Some(2)),
        };
        assert_eq!((span.trace.len(), span.id.len()), (32, 16));
        assert!(span.start <= span.end);
        assert_eq!(span.is_failure, span.attributes.contains_key("error.type"));
        span
    }

    /// Value of an attribute, which is empty if it is not there.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    /// Value of the `traceparent` that names this span.
    pub(crate) fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.id)
    }
}

/// Reads `KeyValue` messages. No key may occur twice.
fn attributes<'m>(pairs: impl Iterator<Item = Message<'m>>) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    for pair in pairs {
        let value = pair.messages(2).next().unwrap();
        let shown = match (value.number(2), value.number(3)) {
            (Some(boolean), _) => (boolean == 1).to_string(),
            (None, Some(number)) => number.to_string(),
            (None, None) => value.text(1),
        };
        let former = attributes.insert(pair.text(1), shown);
        assert_eq!(former, None, "{}", pair.text(1));
    }
    attributes
}
