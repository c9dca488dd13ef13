//! What happens to a request between client and backend. Knows no certificates and no sockets.

mod access_log;
mod body;
mod client_identity;
mod comforts;
mod compression;
mod conn_info;
mod error;
mod failure_log;
mod files;
mod fixed_response;
mod forwarded;
mod forwarded_field;
mod framing;
mod guards;
mod header_changes;
mod headers;
mod hops;
mod host;
mod options;
mod pages;
mod readings;
mod reason;
mod redirect;
mod refusals;
mod request_id;
mod respond;
mod rewrite;
mod router;
mod routers;
mod routes;
mod service;
mod stream_io;
mod survey;
mod template;
mod trust;
mod tunnel;
mod unread;
mod upgrade;
mod web_socket_key;

pub use crate::upstream::{BodyError, ClientBody, Interims, StreamBody};
pub use access_log::{AccessLog, AccessLogFormat, AccessLogOptions, AccessLogTarget};
pub use body::Body;
pub use client_identity::{ClientCertificate, ClientIdentity, ClientPolicy};
pub use comforts::{ComfortOptions, Comforts};
pub use compression::{Coding, CompressionOptions, MediaRange, MediaRangeError};
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
pub use options::ServiceOptions;
pub use pages::{MaintenanceOptions, PageError, Statuses};
pub use reason::Reason;
pub use redirect::{Redirect, RedirectError, RedirectOptions, to_https};
pub use refusals::{Refusals, Tally};
pub use rewrite::Rewrite;
pub use router::{Router, Site};
pub use routers::Routers;
pub use routes::{Handler, PathPrefix, PrefixError, Route, Routes};
pub use service::ProxyService;
pub use stream_io::{OnTunnel, StreamIo, poll_room};
pub use template::PlaceholderError;
pub use trust::Trust;
pub use unread::Unread;
