//! Backends that a test scripts, well behaved or not.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proxy::tasks::Tasks;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::harness::clients::raw::RawStream;
use crate::harness::deadline::soon;

/// A backend on a port of its own.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    events: UnboundedReceiver<String>,
    _tasks: Tasks,
}

/// One connection to the backend.
pub(crate) struct OriginConnection {
    pub(crate) raw: RawStream,
    /// Counted from 1.
    pub(crate) number: usize,
    events: UnboundedSender<String>,
}

impl OriginConnection {
    /// Reports an event to the test.
    pub(crate) fn tell(&self, event: impl Into<String>) {
        let _ = self.events.send(event.into());
    }

    /// Reads one whole request and reports its head and body to the test.
    pub(crate) async fn read_request(&mut self) -> Option<String> {
        let head = self.raw.read_head().await?;
        match self.raw.read_body(&head).await {
            Some(body) => self.tell(format!("{head}{body}")),
            None => {
                self.tell("broken");
                return None;
            }
        }
        Some(head)
    }
}

impl Origin {
    /// Starts a backend that runs `script` on each connection.
    pub(crate) async fn start<F, Fut>(script: F) -> Self
    where
        F: Fn(OriginConnection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), script).await
    }

    async fn start_on<F, Fut>(address: SocketAddr, script: F) -> Self
    where
        F: Fn(OriginConnection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (sender, events) = unbounded_channel();
        let tasks = Tasks::new();
        let (counter, group) = (Arc::clone(&connections), tasks.clone());
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                group.spawn(script(OriginConnection {
                    raw: RawStream::new(stream),
                    number,
                    events: sender.clone(),
                }));
            }
        });
        Self {
            address,
            connections,
            events,
            _tasks: tasks,
        }
    }

    /// Starts a backend that gives every request the same answer and keeps its connections open.
    pub(crate) async fn answering(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::answering_on((Ipv4Addr::LOCALHOST, 0).into(), answer).await
    }

    /// Starts such a backend at an address that the test chooses.
    pub(crate) async fn answering_on(
        address: SocketAddr,
        answer: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Self {
        let answer = Arc::new(answer);
        Self::start_on(address, move |mut connection| {
            let answer = Arc::clone(&answer);
            async move {
                while connection.read_request().await.is_some() {
                    connection.raw.send((*answer).as_ref()).await;
                }
            }
        })
        .await
    }

    /// Starts a backend that answers one request of each connection, and reports when its client closes that.
    pub(crate) async fn answering_once(answer: &'static str) -> Self {
        Self::start(move |mut connection| async move {
            connection.read_request().await;
            connection.raw.send(answer).await;
            connection.raw.read_to_end().await;
            connection.tell("closed");
        })
        .await
    }

    /// Starts a backend that answers `ok`.
    pub(crate) async fn ok() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await
    }

    /// Starts a backend that answers one request with the texts that the test sends, until one is a final response.
    ///
    /// It reports the request's head, four bytes of the body after each `100 Continue`, and at the end the rest.
    pub(crate) async fn driven() -> (Self, UnboundedSender<&'static str>) {
        let (responses, texts) = unbounded_channel::<&'static str>();
        let texts = Arc::new(Mutex::new(texts));
        let origin = Self::start(move |mut connection| {
            let texts = Arc::clone(&texts);
            async move {
                let Some(head) = connection.raw.read_head().await else {
                    return;
                };
                connection.tell(head);
                let mut texts = texts.lock().await;
                while let Some(text) = texts.recv().await {
                    connection.raw.send(text).await;
                    if text.starts_with("HTTP/1.1 100 ") {
                        let body = connection.raw.read_exact(4).await;
                        connection.tell(String::from_utf8_lossy(&body));
                    } else if !text.starts_with("HTTP/1.1 1") {
                        break;
                    }
                }
                let rest = connection.raw.read_to_end().await;
                connection.tell(rest);
            }
        })
        .await;
        (origin, responses)
    }

    /// Number of connections that were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits for the next request or other event.
    pub(crate) async fn event(&mut self) -> String {
        soon(self.events.recv()).await.unwrap()
    }

    /// Returns `true` if no event is left that the test has not read.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.events.try_recv().is_err()
    }
}

/// Returns an address that refuses connections.
pub(crate) async fn refusing_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
