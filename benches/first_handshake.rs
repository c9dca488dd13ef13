//! Measures the first handshake for a new on-demand name, with a local Pebble as the CA: ask, order,
//! challenge, certificate, storage, and the handshake that waits for all of it.
//!
//! Run it with `cargo bench --bench first_handshake`; it needs Pebble, as the tests do.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(dead_code, unused_imports, reason = "the harness serves the tests too")]

#[path = "../tests/it/harness/mod.rs"]
mod harness;

use std::time::Duration;

use tokio::time::Instant;

use harness::backends::web_app::App;
use harness::ca::pebble::{Pebble, PebbleOptions};
use harness::clients::https::Client;
use harness::ports::ProxyPorts;
use harness::proxy::ProxySetup;

const NAMES: usize = 50;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let app = App::start().await;
    let ports = ProxyPorts::reserve();
    let pebble = Pebble::start(PebbleOptions::new(ports.http().port())).await;
    let client = Client::new(&pebble.issuance_root().await);
    let proxy = ProxySetup::on(ports)
        .on_demand(&app)
        .ca(&pebble.directory_url(), &pebble.root_pem())
        .start()
        .await;
    // The first name also registers the account.
    client
        .serial(proxy.https(), "warm-up.example.org")
        .await
        .unwrap();
    let mut times = Vec::new();
    for n in 0..NAMES {
        let name = format!("n{n}.example.org");
        let start = Instant::now();
        client.serial(proxy.https(), &name).await.unwrap();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |percent: usize| milliseconds(times[(times.len() - 1) * percent / 100]);
    println!(
        "first handshake of a new name, {NAMES} names: median {:.1} ms, p95 {:.1} ms, min {:.1} ms, max {:.1} ms",
        at(50),
        at(95),
        at(0),
        at(100)
    );
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
