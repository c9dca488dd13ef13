//! The part of `proxy explain` that tells how clients are known.

use std::fmt::Display;
use std::io::{self, Write};

use crate::config::{Config, SiteConfig, TrustedPeer};

use super::values::{list, quoted};

pub(super) fn write_trust(config: &Config, out: &mut dyn Write) -> io::Result<()> {
    for peer in &config.trust {
        if let TrustedPeer::Cdn(cdn) = peer {
            writeln!(out, "# {peer}: its networks as of {}", cdn.published())?;
        }
    }
    let trust = format!("trust = {}", list(&config.trust));
    writeln!(out, "{trust:<44} # {}", config.origins.of("trust"))?;
    let forwarded = format!("forwarded = {}", config.forwarded);
    writeln!(out, "{forwarded:<44} # {}", config.origins.of("forwarded"))
}

/// An address to listen on, with how its clients begin.
pub(super) fn listener(address: impl Display, proxy_protocol: Option<impl Display>) -> String {
    match proxy_protocol {
        None => quoted(address),
        Some(mode) => format!(
            "{{ address = {}, proxy-protocol = {} }}",
            quoted(address),
            quoted(mode)
        ),
    }
}

pub(super) fn send_proxy(version: Option<impl Display>) -> String {
    version.map_or_else(|| quoted("off"), quoted)
}

pub(super) fn write_client_auth(site: &SiteConfig, out: &mut dyn Write) -> io::Result<()> {
    let Some(auth) = &site.client_auth else {
        return Ok(());
    };
    let (ca, mode) = (quoted(auth.ca.display()), quoted(auth.mode));
    writeln!(out, "client-auth = {{ ca = {ca}, mode = {mode} }}")
}
