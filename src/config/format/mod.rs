//! Writes Proxyfiles: formats an existing one, or lists the effective configuration. Reads no values.

mod changes;
mod formatter;
mod listing;
mod site_listing;

pub use changes::{ConfigChanges, SettingChange, SiteChange};
pub use formatter::format_proxyfile;
pub use listing::explain;
