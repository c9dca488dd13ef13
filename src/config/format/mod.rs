//! The text of a Proxyfile, written out. Reads none.

mod balance_text;
mod dns_format;
mod formatter;
mod upstream_tls;

pub use balance_text::BalanceText;
pub use dns_format::format_dns;
pub use formatter::format_proxyfile;
pub use upstream_tls::UpstreamTls;
