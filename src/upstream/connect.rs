//! Making a connection to a backend.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tracing::debug;

use super::address::Address;
use super::connection::{Connection, Wire};
use super::error::Error;
use crate::tasks::Tasks;

/// Connects to the first address of the backend's host that accepts, all within `timeout`.
pub(super) async fn connect(
    address: &Address,
    timeout: Duration,
    tasks: &Tasks,
) -> Result<Connection, Error> {
    let stream = tokio::time::timeout(timeout, dial(address))
        .await
        .map_err(|_| Error::ConnectTimeout)??;
    let heard = Arc::new(AtomicBool::new(false));
    let wire = TokioIo::new(Wire::new(stream, Arc::clone(&heard)));
    let (sender, connection) = http1::handshake(wire).await.map_err(Error::Exchange)?;
    tasks.spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!(%error, "upstream connection ended");
        }
    });
    Ok(Connection { sender, heard })
}

async fn dial(address: &Address) -> Result<TcpStream, Error> {
    let found = lookup_host((address.host().as_str(), address.port()))
        .await
        .map_err(Error::Resolve)?;
    let mut last = None;
    for socket in found {
        match TcpStream::connect(socket).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(Error::Connect)?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(
        || Error::Resolve(io::ErrorKind::NotFound.into()),
        Error::Connect,
    ))
}
