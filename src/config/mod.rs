//! What the user asked for: the Proxyfile and the flags, read, checked and brought to one typed `Config`. Fills the
//! option types of the rooms; no room sees it.

mod certificates;
mod data_directory;
mod diagnostic;
mod dns;
mod dns_format;
mod error;
mod file_check;
mod flags;
mod header_changes;
mod issuer;
mod issuers;
mod log;
mod origin;
mod overrides;
mod problem;
mod proxyfile;
mod quick;
mod redirect;
mod resolvers;
mod responses;
mod routes;
mod secret;
mod settings;
mod site;
mod site_checks;
mod sites;
mod storage_url;
mod syntax;
mod table;
mod units;

pub use crate::proxy::{ChangeKind, HeaderChange};
pub use diagnostic::Diagnostic;
pub use dns_format::format_dns;
pub use error::Error;
pub use file_check::FileError;
pub use flags::Flags;
pub use log::{LogFormat, LogOptions};
pub use origin::{Origin, Origins};
pub use resolvers::ResolverName;
pub use secret::SecretText;
pub use settings::Config;
pub use site::{CertificateSource, HeaderConfig, RouteConfig, SiteAction, SiteConfig};
pub use storage_url::StorageUrl;
pub use units::format_size;
