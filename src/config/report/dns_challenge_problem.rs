//! Problems with the `dns` of a site.

use crate::name::HostPattern;

/// A problem with a setting of `dns`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DnsChallengeProblem {
    #[error("`{0}` is not a valid name server; use an IP address with or without a port")]
    NameServer(String),
    #[error("`{0}` is not a valid server; use a host or an IP address, with or without a port")]
    Server(String),
    #[error(
        "`dns` needs a method to set records; use `exec`, `rfc2136` or `cloudflare`, or `dns = \"persist\"`"
    )]
    NoMethod,
    #[error(
        "`dns` takes only one method to set records; remove all but one of `exec`, `rfc2136` and `cloudflare`"
    )]
    ManyMethods,
    #[error(
        "`{0}` is not a valid method to set records; use `\"persist\"`, or a table with `exec`, `rfc2136` or `cloudflare`"
    )]
    Method(String),
    #[error("`{0}` is not a valid API URL; use an https URL, because the token is sent to it")]
    Url(String),
    #[error("`dns` is for public CAs, but the internal CA signs `{0}`; remove `dns`")]
    Local(HostPattern),
    #[error(
        "an IP address cannot be validated through DNS; remove `dns`, because `{0}` gets its certificate without it"
    )]
    Address(HostPattern),
    #[error("`propagation-delay` replaces the check of the record; remove it or `{0}`")]
    Delay(&'static str),
    #[error("a site with `tls` files needs no CA; remove `dns` or `tls`")]
    Files,
}
