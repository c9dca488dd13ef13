//! Options of the guards of a site or route.

use std::time::Duration;

use http::header::HeaderName;

use super::forward_auth::ForwardAuthOptions;
use super::hsts::HstsOptions;
use super::networks::NetworkOptions;
use super::rate_limit::RateLimitOptions;
use crate::proxy::guards::basic_auth::BasicAuthOptions;

/// Relation between the network of a client and its credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Satisfy {
    /// A client needs an allowed network and credentials.
    #[default]
    All,
    /// A client from an allowed network needs no credentials, and a client with credentials may come from any network.
    Any,
}

/// Options of the guards of one site or route. Those that are empty or `None` are off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardOptions {
    /// Networks that clients may connect from.
    pub networks: NetworkOptions,
    /// Whether an allowed network and credentials are both needed, or one of them.
    pub satisfy: Satisfy,
    /// Whether the client must have presented a certificate in the handshake.
    pub client_certificate: bool,
    /// User names and passwords.
    pub basic_auth: Option<BasicAuthOptions>,
    /// Server that decides about each request.
    pub forward_auth: Option<ForwardAuthOptions>,
    /// Rate limits, all of which apply.
    pub rate_limits: Vec<RateLimitOptions>,
    /// Maximum size of a request's body, in bytes.
    pub max_body: Option<u64>,
    /// Maximum size of a request's head in bytes, if lower than the limit for all sites.
    pub head_size: Option<usize>,
    /// Maximum number of a request's header fields, if lower than the limit for all sites.
    pub head_fields: Option<usize>,
    /// Maximum time from a request to the end of its response.
    pub request_timeout: Option<Duration>,
    /// Strict-Transport-Security for the site's responses.
    pub hsts: Option<HstsOptions>,
    /// Header fields that clients can set on no path of the site, because its guards on other paths rely on them.
    pub reserved_headers: Vec<HeaderName>,
}
