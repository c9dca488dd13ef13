//! The text of a Proxyfile, written out: another one formatted, or the effective configuration as one. Reads none.

mod formatter;
mod listing;
mod site_listing;

pub use formatter::format_proxyfile;
pub use listing::explain;
