//! Options of a site's guards.

use std::time::Duration;

use super::forward_auth::ForwardAuthOptions;
use super::hsts::HstsOptions;
use super::networks::NetworkOptions;
use super::rate_limit::RateLimitOptions;
use crate::proxy::guards::basic_auth::BasicAuthOptions;

/// Options of the guards of one site. Those that are empty or `None` are off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardOptions {
    /// Networks that clients may connect from.
    pub networks: NetworkOptions,
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
}
