//! Writes Proxyfiles: formats an existing one, lists the effective configuration, or describes them all by a schema. Reads no
//! values.

mod changes;
mod formatter;
mod listing;
mod schema;
mod site_listing;

pub use changes::{ConfigChanges, SettingChange, SiteChange};
pub use formatter::format_proxyfile;
pub use listing::explain;
pub use schema::schema;
