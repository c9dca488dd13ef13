//! The effective configuration and the flags, as data. Knows neither Proxyfile readers nor listings.

mod config;
mod flags;
mod settings;
mod site;

pub use config::Config;
pub use flags::Flags;
pub(crate) use settings::{settings, site_settings};
pub use site::{CertificateSource, HeaderConfig, RouteConfig, SiteAction, SiteConfig};
