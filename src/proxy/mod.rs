//! What happens to a request between client and backend. Knows no certificates and no sockets.

mod body;
mod client_identity;
mod conn_info;
mod error;
mod forwarded;
mod forwarded_field;
mod framing;
mod headers;
mod hops;
mod host;
mod redirect;
mod respond;
mod router;
mod routers;
mod service;
mod survey;
mod trust;
mod upgrade;

pub use body::Body;
pub use client_identity::{ClientCertificate, ClientIdentity, ClientPolicy};
pub use conn_info::ConnInfo;
pub use error::Error;
pub use redirect::{Redirect, RedirectError, to_https};
pub use router::{Action, Router, Site};
pub use routers::Routers;
pub use service::{ProxyService, ServiceOptions};
pub use trust::Trust;
