//! What happens to a request between client and backend. Knows no certificates and no sockets.

mod body;
mod conn_info;
mod error;
mod files;
mod fixed_response;
mod forwarded;
mod framing;
mod guards;
mod header_changes;
mod headers;
mod host;
mod readings;
mod redirect;
mod respond;
mod rewrite;
mod router;
mod routers;
mod routes;
mod service;
mod survey;
mod template;
mod upgrade;

pub use body::Body;
pub use conn_info::ConnInfo;
pub use error::Error;
pub use files::Files;
pub use fixed_response::{FixedResponse, FixedResponseError};
pub use guards::{
    BasicAuthOptions, ClientKey, ForwardAuthOptions, GuardOptions, Guards, HstsOptions,
    NetworkOptions, PasswordHash, PasswordHashError, RateLimitOptions, RateScope, Realm, Refusal,
    Verifier,
};
pub use header_changes::{ChangeKind, HeaderChange, HeaderChangeError, HeaderChanges};
pub use redirect::{Redirect, RedirectError, RedirectOptions, to_https};
pub use rewrite::Rewrite;
pub use router::{Router, Site};
pub use routers::Routers;
pub use routes::{Handler, PathPrefix, PrefixError, Route, Routes};
pub use service::{ProxyService, ServiceOptions};
pub use template::PlaceholderError;
