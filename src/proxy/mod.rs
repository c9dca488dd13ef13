//! What happens to a request between client and backend. Knows no certificates and no sockets.

mod access_log;
mod body;
mod comforts;
mod compression;
mod conn_info;
mod error;
mod forwarded;
mod framing;
mod headers;
mod host;
mod pages;
mod reason;
mod redirect;
mod request_id;
mod respond;
mod router;
mod routers;
mod service;
mod survey;
mod upgrade;
mod web_socket_key;

pub use access_log::{AccessLog, AccessLogFormat, AccessLogOptions, AccessLogTarget};
pub use body::Body;
pub use comforts::{ComfortOptions, Comforts};
pub use compression::{Coding, CompressionOptions, MediaRange, MediaRangeError};
pub use conn_info::ConnInfo;
pub use error::Error;
pub use pages::{MaintenanceOptions, PageError, Statuses};
pub use redirect::{Redirect, RedirectError, to_https};
pub use router::{Action, Router, Site};
pub use routers::Routers;
pub use service::{ProxyService, ServiceOptions};
pub use upgrade::Hold;
