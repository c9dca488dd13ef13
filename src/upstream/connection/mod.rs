//! HTTP connections to backends, and the pool that keeps them.

mod h2_head;
mod http1;
mod http2;
mod pool;

pub(super) use h2_head::{to_http1, to_http2};
pub(super) use http1::Http1Connection;
pub(super) use http2::{ConnectionHolder, Http2Connection, StreamSlot};
pub(super) use pool::{Pool, PooledConnection};
