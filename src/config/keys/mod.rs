//! All keys of a Proxyfile: name, kind, description and example of each. The readers and the test of Proxyfile.example use
//! them. Knows no values.

mod certificate_keys;
mod key;
mod key_hint;
mod nearest_key;
mod proxyfile_keys;
mod site_keys;
mod upstream_keys;

pub use key::{Key, Kind};
pub(crate) use key_hint::KeyHint;
pub(crate) use nearest_key::nearest_key;
pub use proxyfile_keys::PROXYFILE;
pub(crate) use site_keys::SITE;
