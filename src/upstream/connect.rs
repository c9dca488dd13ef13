//! Making a connection to a backend.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;

use super::address::Address;
use super::connection::{Connection, Wire};
use super::error::Error;

/// How long a connection may be silent before its other end is probed, and how often then.
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// The most that is read at once, and the most that a response's head may take. Measured with answers of 1 MiB: 64 KiB make
/// system calls rarer and cost the kernel half as much again, 16 KiB cost as much as this.
const READ_SIZE: usize = 24 * 1024;

/// How long one address may take before the next one is tried beside it.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Connects to the first address of the backend's host that accepts, all within `timeout`, once one of `places` is free.
/// What is to go before all else is `greeting`.
pub(super) async fn connect(
    address: &Address,
    timeout: Duration,
    places: &Arc<Semaphore>,
    greeting: Option<&[u8]>,
) -> Result<Connection, Error> {
    let place = tokio::time::timeout(timeout, Arc::clone(places).acquire_owned());
    let Ok(Ok(place)) = place.await else {
        return Err(Error::NoPlace);
    };
    let stream = tokio::time::timeout(timeout, dial(address, greeting))
        .await
        .map_err(|_| Error::ConnectTimeout {
            backend: address.clone(),
        })??;
    let heard = Arc::new(AtomicBool::new(false));
    let wire = TokioIo::new(Wire::new(stream, Arc::clone(&heard), place));
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(READ_SIZE)
        .handshake(wire)
        .await
        .map_err(|error| Error::exchange(address, error))?;
    let driver = Box::pin(connection.with_upgrades());
    Ok(Connection::new(sender, driver, heard))
}

async fn dial(address: &Address, greeting: Option<&[u8]>) -> Result<TcpStream, Error> {
    let unresolved = |source| Error::Resolve {
        backend: address.clone(),
        source,
    };
    let found = lookup_host((address.host().as_str(), address.port()))
        .await
        .map_err(unresolved)?;
    let mut stream = first_to_accept(found).await.map_err(|error| match error {
        None => unresolved(io::ErrorKind::NotFound.into()),
        Some(source) => refused(address, source),
    })?;
    if let Some(greeting) = greeting {
        let greeted = stream.write_all(greeting).await;
        greeted.map_err(|source| refused(address, source))?;
    }
    Ok(stream)
}

fn refused(address: &Address, source: io::Error) -> Error {
    Error::Connect {
        backend: address.clone(),
        source,
    }
}

/// Tries the addresses in their order, the next one when the last has failed or is slow to accept
/// (RFC 8305 section 5). Returns what the last failure said, if there was any address.
async fn first_to_accept(
    addresses: impl Iterator<Item = SocketAddr>,
) -> Result<TcpStream, Option<io::Error>> {
    let mut addresses = addresses.peekable();
    let mut attempts = FuturesUnordered::new();
    let mut last = None;
    loop {
        attempts.extend(addresses.next().map(open));
        let delay = async {
            match addresses.peek() {
                Some(_) => tokio::time::sleep(NEXT_ADDRESS).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = attempts.next() => match outcome {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => last = Some(error),
                None => return Err(last),
            },
            () = delay => {}
        }
    }
}

async fn open(socket: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(socket).await?;
    stream.set_nodelay(true)?;
    // A response may pause for hours: what tells a pause from a dead machine is the kernel's probes.
    let probes = TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_EVERY);
    SockRef::from(&stream).set_tcp_keepalive(&probes)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};
    use tokio::net::TcpListener;

    use super::*;

    /// A listener whose queue is full: who connects hears nothing.
    async fn black_hole() -> (Socket, Vec<TcpStream>, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        let patience = Duration::from_millis(100);
        while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
        }
        (socket, queued, address)
    }

    #[tokio::test]
    async fn an_address_that_hears_nothing_does_not_keep_the_next_one_waiting() {
        let (_socket, _queued, silent) = black_hole().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let connecting = first_to_accept([silent, silent, good].into_iter());
        let stream = tokio::time::timeout(Duration::from_secs(3), connecting).await;
        assert_eq!(stream.unwrap().unwrap().peer_addr().unwrap(), good);
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = closed.local_addr().unwrap();
        drop(closed);
        let many = std::iter::repeat_n(refusing, 20).chain([good]);
        let stream = tokio::time::timeout(10 * NEXT_ADDRESS, first_to_accept(many)).await;
        assert_eq!(stream.unwrap().unwrap().peer_addr().unwrap(), good);
        let error = first_to_accept([refusing].into_iter()).await.unwrap_err();
        assert_eq!(error.unwrap().kind(), io::ErrorKind::ConnectionRefused);
        let nothing = first_to_accept(std::iter::empty()).await;
        assert!(nothing.unwrap_err().is_none());
    }
}
