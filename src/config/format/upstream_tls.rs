//! The `tls` table of upstream options as a Proxyfile writes it.

use std::fmt;
use std::path::PathBuf;

use crate::upstream::{Address, Options, Protocol, TlsOptions};

/// The table as a Proxyfile writes it.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamTls<'a>(&'a TlsOptions);

impl<'a> UpstreamTls<'a> {
    /// The table of these options. `None` where all is as by default.
    #[must_use]
    pub fn of(options: &'a Options) -> Option<Self> {
        (options.tls != TlsOptions::default()).then_some(Self(&options.tls))
    }

    /// The same, where one of the addresses makes use of it.
    #[must_use]
    pub fn used(addresses: &[Address], options: &'a Options) -> Option<Self> {
        let has_tls = addresses
            .iter()
            .any(|address| address.protocol() == Protocol::Https);
        Self::of(options).filter(|_| has_tls)
    }
}

impl fmt::Display for UpstreamTls<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TlsOptions {
            root,
            sni,
            identity,
            is_insecure,
        } = self.0;
        let path = |path: &PathBuf| path.display().to_string();
        let values = [
            ("root", root.as_ref().map(path)),
            ("sni", sni.as_ref().map(ToString::to_string)),
            ("cert", identity.as_ref().map(|files| path(&files.cert))),
            ("key", identity.as_ref().map(|files| path(&files.key))),
        ];
        let mut parts: Vec<_> = values
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key} = {}", toml::Value::String(value?))))
            .collect();
        if *is_insecure {
            parts.push("insecure = true".to_owned());
        }
        write!(f, "{{ {} }}", parts.join(", "))
    }
}
