//! The settings of QUIC connections: windows, streams and time-outs.

use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};

use crate::server::options::Limits;

/// Bytes that a client may send ahead of a slow backend, on one stream and, while a large upload runs, on all of them. Also bytes
/// of large responses that may wait for a client.
pub(in crate::server) const WINDOW: u32 = 1024 * 1024;
/// Bytes that a client may send ahead on all streams otherwise, and bytes of responses that may wait for it.
pub(in crate::server) const FIRST_WINDOW: u32 = 64 * 1024;
/// Unidirectional streams that a client may have open. HTTP/3 needs three.
const UNI_STREAMS: u32 = 8;
/// Silence after which a client is asked whether it is still there.
const PROBE_AFTER: Duration = Duration::from_secs(60);
/// Silence after which it is gone.
const GONE_AFTER: Duration = Duration::from_secs(120);

/// Returns the settings for connections within `limits`.
pub(in crate::server) fn transport_config(limits: &Limits) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    let gone_after = IdleTimeout::try_from(GONE_AFTER);
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.streams))
        .max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS))
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(FIRST_WINDOW))
        .send_window(u64::from(FIRST_WINDOW))
        .max_idle_timeout(gone_after.ok())
        .keep_alive_interval(Some(PROBE_AFTER))
        .datagram_receive_buffer_size(None)
        .allow_spin(false);
    Arc::new(config)
}
