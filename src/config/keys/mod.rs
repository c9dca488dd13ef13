//! Every key of a Proxyfile, once: its name, its kind, a sentence about it and an example. The readers, `explain` and the
//! test of Proxyfile.example share it. Knows no value that was read.

mod certificate_keys;
mod key;
mod proxyfile_keys;
mod site_keys;
mod upstream_keys;

pub use key::{Key, Kind};
pub use proxyfile_keys::PROXYFILE;
pub(crate) use site_keys::SITE;
