//! Event streams that stay open.

use std::cell::Cell;
use std::io::{self, BufRead as _};
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::time::timeout;

use super::exchange::{PATIENCE, open, request};
use super::tls::tls;
use super::{Failure, Protocol, Target, print};

/// Opens that many streams and counts their events, from the time at which all are open until standard input says so or
/// ends.
pub(crate) async fn events(target: &Target, streams: usize) -> Result<(), Failure> {
    let config = tls(Protocol::H1, false);
    let (events, ended) = (Rc::new(Cell::new(0_u64)), Rc::new(Cell::new(0_usize)));
    let mut senders = Vec::with_capacity(streams);
    for _ in 0..streams {
        let stream = open(target.address, &target.name, &config).await?;
        let (mut sender, connection) =
            http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        let response = sender.send_request(request("/events", &target.name)?);
        let mut body = timeout(PATIENCE, response).await??.into_body();
        // The connection ends with its sender.
        senders.push(sender);
        let (events, ended) = (events.clone(), ended.clone());
        tokio::task::spawn_local(async move {
            while let Some(Ok(frame)) = body.frame().await {
                // Each event is small enough to come in one piece, but two may come in one.
                let data = frame.into_data().unwrap_or_default();
                let found = data.windows(2).filter(|pair| pair == b"\n\n").count();
                events.set(events.get() + found as u64);
            }
            ended.set(ended.get() + 1);
        });
    }
    let before = events.get();
    print(&json!({ "held": streams }))?;
    let until = tokio::task::spawn_blocking(|| io::stdin().lock().lines().next());
    until.await?.transpose()?;
    print(&json!({ "still_open": streams - ended.get(), "events": events.get() - before }))
}
