//! What happens to a request between client and backend. Knows no certificates and no sockets.

mod conn_info;

pub use conn_info::ConnInfo;
