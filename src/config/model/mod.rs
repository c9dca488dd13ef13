//! The effective configuration and the flags, as data. Knows neither Proxyfile readers nor listings.

mod config;
mod flags;
mod listeners;
mod scalar_fields;
mod shared_wildcards;
mod site;

pub use config::Config;
pub use flags::Flags;
pub(crate) use scalar_fields::{scalar_fields, site_scalar_fields};
pub use shared_wildcards::SharedWildcards;
pub use site::{CertificateSource, HeaderConfig, RouteConfig, SiteAction, SiteConfig};
