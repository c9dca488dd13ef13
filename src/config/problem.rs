//! Everything that can be wrong with a configuration, each with its fix.

use crate::name::{HostPattern, NameError};
use crate::upstream::AddressError;

use super::balance::BalancingProblem;
use super::syntax;

/// One thing that is wrong, as one sentence with the fix.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{}", syntax::message(.0))]
    Syntax(toml::de::Error),
    #[error("unknown key `{key}`; {}", known_keys(nearest.as_deref(), known))]
    UnknownKey {
        key: String,
        nearest: Option<String>,
        known: Vec<&'static str>,
    },
    #[error("`{key}` takes {expected}, not {found}")]
    Type {
        key: String,
        expected: &'static str,
        found: &'static str,
    },
    #[error("`{key}` is missing; add it, as in `{example}`")]
    Missing {
        key: &'static str,
        example: &'static str,
    },
    #[error("`{0}` is no mail address; write one, as in `ops@example.org`")]
    Email(String),
    #[error(
        "`{0}` is no address to listen on; write `IP:PORT`, as in `[::]:443` or `127.0.0.1:8443`, or a port alone"
    )]
    Listen(String),
    #[error("http and https cannot share {0}; give each a port of its own")]
    SharedPort(std::net::SocketAddr),
    #[error("`{0}` is no duration; write it as in `30s`, `5m`, `12h` or `90d`")]
    Duration(String),
    #[error("the duration must be longer than zero; `{0}` would end everything at once")]
    ZeroDuration(String),
    #[error("`{0}` is longer than a year; write a shorter duration")]
    LongDuration(String),
    #[error("`{0}` is no size; write it as in `16k`, `10m` or `1g`")]
    Size(String),
    #[error("`{0}` is out of range; write a size from `8k` to `16m`")]
    HeadSize(String),
    #[error("`{0}` is no count; write a whole number from 1 to 65535")]
    Count(String),
    #[error("only `file:` storage exists here; write `file:DIRECTORY` instead of `{0}://…`")]
    StorageScheme(String),
    #[error("`{0}` is no storage; write `file:DIRECTORY`, as in `file:/var/lib/proxy`")]
    Storage(String),
    #[error(
        "no data directory is known, since HOME is not set; name one with `--storage file:DIRECTORY`"
    )]
    NoDataDirectory,
    #[error("`{0}` is no log level; write `error`, `warn`, `info`, `debug` or `trace`")]
    LogLevel(String),
    #[error("`{0}` is no log format; write `text` or `json`")]
    LogFormat(String),

    #[error(
        "`{0}` is no ACME directory; write `letsencrypt`, `letsencrypt-staging` or an https URL"
    )]
    Directory(String),
    #[error(
        "`{0}` needs external account binding, which is not supported; use `letsencrypt` or another CA's https URL"
    )]
    DirectoryNeedsAccount(String),
    #[error("an ACME directory is reached over https only; write `https://` instead of `{0}://`")]
    DirectoryScheme(String),
    #[error(
        "`{0}` is no DNS server; write `system` or an IP address, as in `9.9.9.9` or `[2620:fe::9]:53`"
    )]
    Resolver(String),
    #[error("`resolvers` names no DNS server; write at least one, as in `[\"system\"]`")]
    NoResolver,
    #[error("only one issuer is supported; remove this one")]
    SecondIssuer,
    #[error("`--staging` and `--acme-directory` name two directories; keep one of them")]
    StagingAndDirectory,

    #[error(
        "there is no site; add one, as in `[sites]` followed by `\"www.example.org\" = \"localhost:3000\"`"
    )]
    NoSites,
    #[error(
        "`{name}` is no site name: {error}; write it as in `www.example.org`, without scheme, port and path"
    )]
    SiteName {
        name: String,
        #[source]
        error: NameError,
    },
    #[error(
        "the dots of an unquoted name make nested tables; put the site's name in quotes: `\"{0}\"`"
    )]
    UnquotedName(String),
    #[error("`{pattern}` is already a site on line {line}; keep one of the two")]
    SameSite { pattern: HostPattern, line: usize },
    #[error("a site on line {0} is the default already; keep one `default = true`")]
    SecondDefault(usize),
    #[error("a site has either `upstream` or `redirect`; remove one of them")]
    UpstreamAndRedirect,
    #[error(
        "the site says nothing about its requests; add `upstream = \"localhost:3000\"` or `redirect = \"https://www.example.org\"`"
    )]
    NoAction,
    #[error("{0}")]
    Address(#[from] AddressError),
    #[error(transparent)]
    Balancing(#[from] BalancingProblem),
    #[error("the list of upstreams is empty; name one, as in `[\"localhost:3000\"]`")]
    NoAddress,
    #[error(
        "`{0}` is where the proxy itself listens, so requests would go in circles; name the app's own port"
    )]
    OwnAddress(crate::upstream::Address),
    #[error(
        "`insecure = true` takes any certificate, so `root` has no use beside it; remove one of them"
    )]
    InsecureAndRoot,
    #[error("`{name}` is no name of a backend: {error}; write it as in `app.internal`")]
    Sni {
        name: String,
        #[source]
        error: NameError,
    },
    #[error(
        "none of the site's upstreams is behind TLS; write it as in `https://app:8443`, or remove `tls`"
    )]
    TlsWithoutHttps,
    #[error("`{0}` is no whole URL; write one, as in `https://www.example.org`")]
    Redirect(String),
    #[error(
        "`{0}` leads back to this same site, so clients would go in circles; name another host"
    )]
    RedirectLoop(url::Url),
    #[error(
        "`{0}` is no URL to ask; write an http or https URL, as in `http://localhost:4000/allowed`"
    )]
    Ask(String),
    #[error(
        "no certificate can be had for the wildcard `{0}` as a whole; add `on-demand = {{ ask = \"http://…\" }}` to get one per name, or `tls = {{ cert = \"…\", key = \"…\" }}`"
    )]
    WildcardCertificate(HostPattern),
    #[error(
        "the site `*` needs `on-demand = {{ ask = \"http://…\" }}`, which says what names may have a certificate"
    )]
    AnyWithoutAsk,
    #[error(
        "`on-demand` is for wildcard sites and `*`; remove it, `{0}` gets its certificate anyway"
    )]
    OnDemandExact(HostPattern),
    #[error("a site with `tls` files needs no certificate on demand; remove `on-demand` or `tls`")]
    OnDemandAndTls,

    #[error("an upstream alone is not enough; add `--domain NAME` or `--on-demand-ask URL`")]
    NoDomain,
    #[error(
        "there is nowhere to send requests; add `--upstream ADDR`, as in `--upstream localhost:3000`"
    )]
    NoUpstream,
    #[error(
        "no certificate can be had for the wildcard `{0}` as a whole; add `--on-demand-ask URL` to get one per name"
    )]
    WildcardWithoutAsk(HostPattern),
}

fn known_keys(nearest: Option<&str>, known: &[&str]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known here: `{}`", known.join("`, `")),
    }
}
