//! A connection and one request on it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Failure;

pub(crate) type Secure = TlsStream<TcpStream>;

/// Time limit for one connection with its request.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn open(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> Result<Secure, Failure> {
    let socket = match address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned())?;
    let connector = TlsConnector::from(config.clone());
    Ok(timeout(PATIENCE, connector.connect(name, stream)).await??)
}

pub(crate) fn request(target: &str, host: &str) -> Result<Request<Empty<Bytes>>, http::Error> {
    let request = Request::get(target);
    let request = match target.starts_with('/') {
        true => request.header("host", host),
        false => request,
    };
    request.body(Empty::new())
}

pub(crate) async fn read(answer: http::Response<Incoming>) -> Result<(), Failure> {
    let status = answer.status();
    answer.into_body().collect().await?;
    match status {
        StatusCode::OK => Ok(()),
        status => Err(format!("it answered {status}").into()),
    }
}
