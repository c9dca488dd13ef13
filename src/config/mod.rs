//! What the user asked for: the Proxyfile and the flags, read, checked and brought to one typed `Config`. Fills the
//! option types of the rooms; no room sees it.

mod check;
mod format;
mod load;
mod model;
mod read;
mod report;
mod value;

pub use crate::proxy::{ChangeKind, HeaderChange, SiteFeatureOptions};
pub use check::FileError;
pub use format::{BalanceText, UpstreamTls, format_dns, format_proxyfile};
pub use load::ConfigFile;
pub use model::{
    CertificateSource, Config, Flags, HeaderConfig, RouteConfig, SiteAction, SiteConfig,
};
pub use report::{Diagnostic, Error, Origin, Origins};
pub use value::{
    Cdn, LogFormat, LogOptions, ResolverName, SecretText, StorageUrl, TrustedPeer, format_size,
    hash_password,
};
