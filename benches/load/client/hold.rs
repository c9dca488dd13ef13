//! Connections that stay open and idle.

use std::io::{self, BufRead as _};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};

use super::exchange::{PATIENCE, Secure, open, read, request};
use super::executor::LocalExecutor;
use super::tls::tls;
use super::{Failure, Protocol, Target, print};

/// Opens the connections one after the other, or at the rate of so many a second, and holds them.
pub(crate) async fn hold(
    target: &Target,
    connections: usize,
    protocol: Protocol,
    rate: Option<f64>,
) -> Result<(), Failure> {
    let config = tls(protocol, false);
    let opened = async || {
        let stream = open(target.address, &target.name, &config).await?;
        timeout(PATIENCE, Held::after_one_request(stream, target, protocol)).await?
    };
    let mut held = Vec::with_capacity(connections);
    match rate {
        None => {
            for _ in 0..connections {
                held.push(opened().await?);
            }
        }
        Some(rate) => {
            let begin = Instant::now();
            let all = (0..connections).map(|index| {
                let due = sleep_until(begin + Duration::from_secs_f64(index as f64 / rate));
                async {
                    due.await;
                    opened().await
                }
            });
            held.extend(try_join_all(all).await?);
        }
    }
    print(&json!({ "held": held.len() }))?;
    let until = tokio::task::spawn_blocking(|| io::stdin().lock().lines().next());
    until.await?.transpose()?;
    print(&json!({ "still_open": held.iter().filter(|one| one.is_open()).count() }))
}

/// An idle connection.
enum Held {
    H1(http1::SendRequest<Empty<Bytes>>),
    H2(http2::SendRequest<Empty<Bytes>>),
}

impl Held {
    async fn after_one_request(
        stream: Secure,
        target: &Target,
        protocol: Protocol,
    ) -> Result<Self, Failure> {
        let io = TokioIo::new(stream);
        match protocol {
            Protocol::H1 => {
                let (mut sender, connection) = http1::handshake(io).await?;
                tokio::task::spawn_local(connection);
                read(
                    sender
                        .send_request(request("/small", &target.name)?)
                        .await?,
                )
                .await?;
                sender.ready().await?;
                Ok(Self::H1(sender))
            }
            Protocol::H2 => {
                let (mut sender, connection) = http2::handshake(LocalExecutor, io).await?;
                tokio::task::spawn_local(connection);
                let url = format!("https://{}/small", target.name);
                read(sender.send_request(request(&url, &target.name)?).await?).await?;
                Ok(Self::H2(sender))
            }
        }
    }

    fn is_open(&self) -> bool {
        match self {
            Self::H1(sender) => !sender.is_closed(),
            Self::H2(sender) => !sender.is_closed(),
        }
    }
}
