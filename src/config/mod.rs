//! What the user asked for: the Proxyfile and the flags, read, checked and brought to one typed `Config`. Fills the
//! option types of the rooms; no room sees it.

mod balance;
mod balance_text;
mod data_directory;
mod diagnostic;
mod error;
mod file_check;
mod flags;
mod issuer;
mod log;
mod origin;
mod overrides;
mod problem;
mod proxyfile;
mod quick;
mod resolvers;
mod secret;
mod settings;
mod site;
mod sites;
mod storage_url;
mod syntax;
mod table;
mod units;
mod upstream_tls;

pub use balance_text::BalanceText;
pub use diagnostic::Diagnostic;
pub use error::Error;
pub use file_check::FileError;
pub use flags::Flags;
pub use log::{LogFormat, LogOptions};
pub use origin::{Origin, Origins};
pub use resolvers::ResolverName;
pub use settings::Config;
pub use site::{CertificateSource, SiteAction, SiteConfig};
pub use storage_url::StorageUrl;
pub use units::format_size;
pub use upstream_tls::UpstreamTls;
