//! What happens to a request between client and backend. Knows no certificates and no sockets.

mod body;
mod conn_info;
mod error;
mod forwarded;
mod framing;
mod guards;
mod headers;
mod host;
mod redirect;
mod respond;
mod router;
mod routers;
mod service;
mod survey;
mod upgrade;

pub use body::Body;
pub use conn_info::ConnInfo;
pub use error::Error;
pub use guards::{
    BasicAuthOptions, ClientKey, ForwardAuthOptions, GuardOptions, Guards, HstsOptions,
    NetworkOptions, PasswordHash, PasswordHashError, RateLimitOptions, RateScope, Realm, Refusal,
    Verifier,
};
pub use redirect::{Redirect, RedirectError, to_https};
pub use router::{Action, Router, Site};
pub use routers::Routers;
pub use service::{ProxyService, ServiceOptions};
