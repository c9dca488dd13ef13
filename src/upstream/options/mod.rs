//! Settings of upstreams, with the defaults, and the context that all upstreams share.

mod balance_method;
mod balance_options;
mod cookie_key;
mod health_options;
mod http_options;
mod options;
mod status_range;
mod upstream_context;

pub use balance_method::{BalanceMethod, BalanceMethodError};
pub use balance_options::{BalanceOptions, Share};
pub use cookie_key::CookieKey;
pub use health_options::HealthOptions;
pub use http_options::{BackendHost, HeaderCase, HttpOptions, HttpVersion};
pub use options::Options;
pub use status_range::{StatusRange, StatusRangeError};
pub use upstream_context::UpstreamContext;
