//! What can be wrong with the `dns` of a site.

use crate::name::HostPattern;

/// What is wrong with a setting about DNS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DnsProblem {
    #[error("`{0}` is not a valid name server; use an IP address with or without a port")]
    NameServer(String),
    #[error("`{0}` is not a valid server; use a host or an IP address, with or without a port")]
    Server(String),
    #[error(
        "`dns` needs one way to set a record; use `exec`, `rfc2136` or `cloudflare`, or `dns = \"persist\"`"
    )]
    NoMeans,
    #[error(
        "`dns` takes one way to set a record; remove all but one of `exec`, `rfc2136` and `cloudflare`"
    )]
    ManyMeans,
    #[error(
        "`{0}` is not a valid way to set a record; use `\"persist\"`, or a table with `exec`, `rfc2136` or `cloudflare`"
    )]
    Word(String),
    #[error("`{0}` is not a valid API for a token; use an https URL")]
    Url(String),
    #[error(
        "`dns` proves names to a public CA, but this machine's own CA signs `{0}`; remove `dns`"
    )]
    Local(HostPattern),
    #[error("DNS cannot prove an IP address; remove `dns`, `{0}` gets its certificate without it")]
    Address(HostPattern),
    #[error("a site with `tls` files asks no CA; remove `dns` or `tls`")]
    Files,
}
