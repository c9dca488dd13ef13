//! An HTTP/2 backend that the test scripts frame by frame.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::{Builder, Connection};
use proxy::tasks::Tasks;
use tokio::net::{TcpListener, TcpStream};

/// The server side of one HTTP/2 connection.
pub(crate) type Session = Connection<TcpStream, Bytes>;

/// A backend on a port of its own.
pub(crate) struct H2Origin {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: Tasks,
}

impl H2Origin {
    /// Runs `script` on each connection, with its number from 1 on, which allows `streams` streams at a time.
    pub(crate) async fn start<F, Fut>(streams: u32, script: F) -> Self
    where
        F: Fn(Session, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let tasks = Tasks::new();
        let (counter, group, script) = (Arc::clone(&connections), tasks.clone(), Arc::new(script));
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                let script = Arc::clone(&script);
                group.spawn(async move {
                    let mut builder = Builder::new();
                    builder.max_concurrent_streams(streams);
                    if let Ok(session) = builder.handshake(stream).await {
                        script(session, number).await;
                    }
                });
            }
        });
        Self {
            address,
            connections,
            _tasks: tasks,
        }
    }

    /// URL of the backend, as a Proxyfile names it.
    pub(crate) fn url(&self) -> String {
        format!("h2c://{}", self.address)
    }

    /// Number of connections that were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}
