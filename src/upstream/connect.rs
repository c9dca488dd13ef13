//! Making a connection to a backend.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tracing::debug;

use super::address::Address;
use super::connection::{Connection, Wire};
use super::error::Error;
use crate::tasks::Tasks;

/// How long a connection may be silent before its other end is probed, and how often then.
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// Connects to the first address of the backend's host that accepts, all within `timeout`, once one of `places` is free.
pub(super) async fn connect(
    address: &Address,
    timeout: Duration,
    places: &Arc<Semaphore>,
    tasks: &Tasks,
) -> Result<Connection, Error> {
    let place = tokio::time::timeout(timeout, Arc::clone(places).acquire_owned());
    let Ok(Ok(place)) = place.await else {
        return Err(Error::NoPlace);
    };
    let stream = tokio::time::timeout(timeout, dial(address))
        .await
        .map_err(|_| Error::ConnectTimeout {
            backend: address.clone(),
        })??;
    let heard = Arc::new(AtomicBool::new(false));
    let wire = TokioIo::new(Wire::new(stream, Arc::clone(&heard), place));
    let (sender, connection) = http1::handshake(wire)
        .await
        .map_err(|error| Error::exchange(address, error))?;
    tasks.spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!(%error, "upstream connection ended");
        }
    });
    Ok(Connection { sender, heard })
}

async fn dial(address: &Address) -> Result<TcpStream, Error> {
    let unresolved = |source| Error::Resolve {
        backend: address.clone(),
        source,
    };
    let found = lookup_host((address.host().as_str(), address.port()))
        .await
        .map_err(unresolved)?;
    let mut last = None;
    for socket in found {
        match open(socket).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        None => unresolved(io::ErrorKind::NotFound.into()),
        Some(source) => Error::Connect {
            backend: address.clone(),
            source,
        },
    })
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
