//! What can be wrong with the `dns` of a site.

use crate::name::HostPattern;

/// What is wrong with a setting about DNS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DnsProblem {
    #[error("`{0}` is no server; write an IP address with or without a port")]
    NameServer(String),
    #[error("`{0}` is no server; write a host or an IP address, with or without a port")]
    Server(String),
    #[error(
        "`dns` needs one way to set a record; write `exec`, `rfc2136` or `cloudflare`, or `dns = \"persist\"`"
    )]
    NoMeans,
    #[error(
        "`dns` has one way to set a record; remove all but one of `exec`, `rfc2136` and `cloudflare`"
    )]
    ManyMeans,
    #[error(
        "`{0}` is no way to set a record; write `\"persist\"`, or a table with `exec`, `rfc2136` or `cloudflare`"
    )]
    Word(String),
    #[error("`{0}` signs no updates; write `hmac-sha256`, `hmac-sha384` or `hmac-sha512`")]
    Algorithm(String),
    #[error("`{0}` is no API to send a token to; write an https URL")]
    Url(String),
    #[error(
        "`dns` proves names to a public CA, and `{0}` is signed by this machine's own; remove `dns`"
    )]
    Local(HostPattern),
    #[error("an address is not proved in DNS; remove `dns`, `{0}` gets its certificate anyway")]
    Address(HostPattern),
    #[error("a site with `tls` files proves nothing to a CA; remove `dns` or `tls`")]
    Files,
}
