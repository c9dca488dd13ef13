//! What a site may ask of its requests.

use std::time::Duration;

use ipnet::IpNet;

use super::basic_auth::BasicAuthOptions;
use super::forward_auth::ForwardAuthOptions;
use super::hsts::HstsOptions;
use super::rate_limit::RateLimitOptions;

/// The guards of one site. What is empty or `None` is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardOptions {
    /// Where clients may come from.
    pub networks: NetworkOptions,
    /// Who may come by name and password.
    pub basic_auth: Option<BasicAuthOptions>,
    /// Who else decides.
    pub forward_auth: Option<ForwardAuthOptions>,
    /// How often requests may come; all of them hold.
    pub rate_limits: Vec<RateLimitOptions>,
    /// Bytes of a request's body.
    pub max_body: Option<u64>,
    /// Bytes of a request's head, where they are fewer than for all sites.
    pub head_size: Option<usize>,
    /// Fields of a request's head, where they are fewer than for all sites.
    pub head_fields: Option<usize>,
    /// For a request and its whole response.
    pub request_timeout: Option<Duration>,
    /// What browsers are told about plain HTTP.
    pub hsts: Option<HstsOptions>,
}

/// Networks that clients are let in from and kept out from. A client of both is kept out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkOptions {
    /// Nobody else is let in, unless this is empty.
    pub allow: Vec<IpNet>,
    /// These are kept out.
    pub deny: Vec<IpNet>,
}
