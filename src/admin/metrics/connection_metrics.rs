//! Metrics of connections and TLS handshakes.

use super::metric_value::number;
use crate::admin::stats::Stats;
use crate::figures::{Handshake, HandshakeResult};
use crate::prometheus::{Labels, Metric, Page};

/// Adds the numbers of connections by protocol, and of handshakes by version and result.
pub(super) fn add_connections(stats: &Stats, page: &mut Page) {
    page.gauge(
        Metric::new("proxy_connections", "Open connections of clients"),
        number(stats.connections()),
    );
    let protocols = stats.figures.protocols();
    page.gauges(
        Metric::new(
            "proxy_open_connections",
            "Open connections of clients by protocol, after their TLS handshake",
        ),
        protocols.map(|count| (protocol(count.protocol.word()), number(count.open))),
    );
    page.counts(
        Metric::new(
            "proxy_accepted_connections",
            "Connections of clients by protocol, after their TLS handshake",
        ),
        protocols.map(|count| (protocol(count.protocol.word()), count.total)),
    );
    let handshakes = stats.figures.handshakes();
    page.counts(
        Metric::new(
            "proxy_tls_handshakes",
            "TLS handshakes by version, result and resumption of a session",
        ),
        handshakes.map(|(handshake, count)| (handshake_labels(handshake), count)),
    );
}

fn protocol(word: &str) -> Labels {
    vec![("protocol", word.to_owned())]
}

fn handshake_labels(handshake: Handshake) -> Labels {
    let (result, is_resumed) = match handshake.result {
        HandshakeResult::Full => ("ok", false),
        HandshakeResult::Resumed => ("ok", true),
        HandshakeResult::Failed => ("failed", false),
    };
    vec![
        ("version", handshake.version.to_owned()),
        ("result", result.to_owned()),
        ("resumed", is_resumed.to_string()),
    ]
}
