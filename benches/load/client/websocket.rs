//! WebSockets on which one message after the other is echoed.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::exchange::{PATIENCE, open};
use super::tls::tls;
use super::{Failure, Protocol, Target, print};

/// Sends messages of that many bytes on each of the connections until the time is over.
pub(crate) async fn websocket(
    target: &Target,
    connections: usize,
    size: usize,
    seconds: f64,
) -> Result<(), Failure> {
    let begin = Instant::now();
    let until = begin + Duration::from_secs_f64(seconds);
    let loops = (0..connections).map(|_| echo_in_turn(target, size, until));
    let mut micros = Vec::new();
    for outcome in join_all(loops).await {
        micros.extend(outcome?);
    }
    let elapsed = begin.elapsed().as_secs_f64();
    micros.sort_unstable();
    let at = |share: usize| micros.get(micros.len() * share / 100);
    print(&json!({
        "requests": micros.len(), "seconds": elapsed, "errors": 0, "p50_us": at(50), "p99_us": at(99),
    }))
}

/// The microseconds that each echo took.
async fn echo_in_turn(target: &Target, size: usize, until: Instant) -> Result<Vec<u128>, Failure> {
    let stream = open(target.address, &target.name, &tls(Protocol::H1, false)).await?;
    let url = format!("wss://{}/echo", target.name);
    let (mut socket, _) = timeout(PATIENCE, client_async(url, stream)).await??;
    let message = Message::Binary(Bytes::from(vec![b'w'; size]));
    let mut micros = Vec::new();
    while Instant::now() < until {
        let begin = Instant::now();
        socket.send(message.clone()).await?;
        match timeout(PATIENCE, socket.next()).await? {
            Some(Ok(Message::Binary(echo))) if echo.len() == size => {
                micros.push(begin.elapsed().as_micros());
            }
            other => return Err(format!("no echo came, but {other:?}").into()),
        }
    }
    socket.close(None).await?;
    Ok(micros)
}
