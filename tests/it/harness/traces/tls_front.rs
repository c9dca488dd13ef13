//! TLS in front of a server that speaks none.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use proxy::tasks::Tasks;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::harness::ca::pki::LoopbackServer;

/// A port on loopback where TLS is taken off, and the rest is passed on.
pub(crate) struct TlsFront {
    pub(crate) address: SocketAddr,
    _tasks: Tasks,
}

impl TlsFront {
    pub(crate) async fn start(tls: &LoopbackServer, server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.tls));
        let tasks = Tasks::new();
        let group = tasks.clone();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                group.spawn(async move {
                    // A client that does not believe the certificate leaves.
                    let Ok(mut client) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut server = TcpStream::connect(server).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self {
            address,
            _tasks: tasks,
        }
    }
}
