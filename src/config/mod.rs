//! Reads the Proxyfile and the flags into one checked, typed `Config`, which fills the option types of the other rooms.
//! Those rooms do not know this one.

mod check;
mod fields;
mod format;
mod keys;
mod load;
mod model;
mod read;
mod report;
mod toml;
mod value;

pub use format::{ConfigChanges, SettingChange, SiteChange, explain, format_proxyfile, schema};
pub use keys::{Key, Kind, PROXYFILE};
pub use load::ConfigFile;
pub use model::{
    CertificateSource, Config, Flags, HeaderConfig, RouteConfig, SharedWildcards, SiteAction,
    SiteConfig,
};
pub use report::{Diagnostic, Error, FilePlaces, Origin, Origins};
pub use value::{
    Cdn, LogFormat, LogOptions, ProblemReceiver, SecretText, StorageUrl, TrustedPeer, Webhook,
    hash_password,
};
