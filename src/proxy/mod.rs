//! The life of a request between client and backend. Knows no certificates and no sockets.

mod access_log;
mod body;
mod compression;
mod error;
mod guards;
mod handler;
mod header_changes;
mod request;
mod respond;
mod routing;
mod service;
mod service_options;
mod site_features;
mod websocket;

pub use crate::upstream::{
    BodyError, BoxedBody, ClientBody, ClientShare, Http1Body, Interims, ProgressTimeout, StreamBody,
};
pub use access_log::{AccessLog, AccessLogFormat, AccessLogOptions, AccessLogTarget};
pub use body::Body;
pub use compression::{Coding, CompressionOptions, MediaRange, MediaRangeError};
pub use error::{Error, GuardRefusal, Reason, RefusalCounters, RejectedEarly, WorkerRefusals};
pub use guards::{
    BasicAuthOptions, ClientKey, ClientNetwork, ClientNetworkError, ForwardAuthOptions,
    GuardOptions, Guards, HashingLimit, HstsOptions, NetworkOptions, PasswordHash,
    PasswordHashError, RateLimitOptions, RateScope, Realm, Satisfy, private_networks,
};
pub use handler::{
    Files, FixedResponse, FixedResponseError, Handler, Redirect, RedirectError, RedirectOptions,
};
pub use header_changes::{
    ChangeKind, HeaderChange, HeaderChangeError, HeaderChanges, HeaderSecret, frames_message,
};
pub use request::{
    ClientCertificate, ClientIdentity, ClientPolicy, ConnInfo, DirectResponse, PathPrefix,
    PlaceholderError, PrefixError, RequestObserver, TrustedProxies, checked_target,
};
pub use respond::{MaintenanceOptions, PageError, Statuses};
pub use routing::{
    CurrentRouter, HttpMode, Rewrite, Route, RouteGuards, Router, Routes, Site, site_of_host,
    to_https,
};
pub use service::ProxyService;
pub use service_options::ServiceOptions;
pub use site_features::{SiteFeatureOptions, SiteFeatures};
pub use websocket::{OnTunnel, StreamIo};
