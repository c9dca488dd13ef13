//! The problems of a configuration, each with its fix.

use http::HeaderName;

use crate::config::keys::KeyHint;
use crate::name::{HostPattern, NameError};
use crate::proxy::{FixedResponseError, HeaderChangeError, PathPrefix, PrefixError, RedirectError};
use crate::upstream::AddressError;

use super::balancing_problem::BalancingProblem;
use super::dns_challenge_problem::DnsChallengeProblem;
use super::guard_problem::GuardProblem;
use super::listener_problem::ListenerProblem;
use super::syntax;
use super::tracing_problem::TracingProblem;

/// A problem of a configuration. Prints as one sentence with the fix.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{}", syntax::message(.0))]
    Syntax(toml::de::Error),
    #[error(
        "this is {0}; a Proxyfile is TOML, with a line for each site, as in `[sites]` followed by `\"www.example.org\" = \"localhost:3000\"`"
    )]
    ForeignFormat(&'static str),
    #[error("`{0}` is a typographic quote; use `\"`")]
    TypographicQuote(char),
    #[error("`=` stands between a key and its value, not `:`; write `{0} = …`")]
    Colon(String),
    #[error("`{key}` is set twice{}; remove one of the two", first_line(*line))]
    RepeatedKey { key: String, line: Option<usize> },
    #[error("`{table}` stands twice{}; put the keys of both below one of them", first_line(*line))]
    RepeatedTable { table: String, line: Option<usize> },
    #[error("{0} more syntax errors are not shown; fix these first")]
    MoreMistakes(usize),
    #[error("unknown key `{key}`; {hint}")]
    UnknownKey { key: String, hint: KeyHint },
    #[error(
        "`{0}` is a setting of the whole file; move it to the top, above `[sites]`, or quote it if it is the name of a site"
    )]
    TopLevelKey(String),
    #[error(
        "`{0}` is a setting of one site; write it below a line like `[sites.\"www.example.org\"]`, or quote it if it is the name of a site"
    )]
    SiteKey(String),
    #[error(
        "`default = true` has no effect on `{0}`, because clients without SNI get the certificate of one name; set it at a site with an exact name"
    )]
    DefaultWildcard(HostPattern),
    #[error("`{key}` takes {expected}, not {found}")]
    Type {
        key: String,
        expected: String,
        found: &'static str,
    },
    #[error(
        "`{text}` is not a valid value of `{key}`; use {}",
        alternatives(words)
    )]
    Choice {
        key: String,
        text: String,
        words: Vec<&'static str>,
    },
    #[error("`{key}` is missing; add it, as in `{key} = {example}`")]
    Missing {
        key: &'static str,
        example: &'static str,
    },
    #[error(
        "`{0}` is not a valid user name; use the name of a user of this machine, as in `proxy`"
    )]
    User(String),
    #[error("`{0}` is not a valid mail address; use a form like `ops@example.org`")]
    Email(String),
    #[error(
        "`{0}` is not a valid address to listen on; use `IP:PORT`, as in `[::]:443` or `127.0.0.1:8443`, or a port alone"
    )]
    Listen(String),
    #[error(transparent)]
    Listener(#[from] ListenerProblem),
    #[error("`{0}` is not a valid duration; use a form like `30s`, `5m`, `12h` or `90d`")]
    Duration(String),
    #[error("the duration must be longer than zero; `{0}` would end everything immediately")]
    ZeroDuration(String),
    #[error("`{0}` is longer than a year; use a shorter duration")]
    LongDuration(String),
    #[error("`{0}` is not a valid size; use a form like `16k`, `10m` or `1g`")]
    Size(String),
    #[error("`{0}` is out of range; use a size from `8k` to `16m`")]
    HeadSize(String),
    #[error("`{0}` is not a valid count; use a whole number from 1 to 65535")]
    Count(String),
    #[error("only `file:` storage exists; use `file:DIRECTORY` instead of `{0}://…`")]
    StorageScheme(String),
    #[error("`{0}` is not a valid storage; use `file:DIRECTORY`, as in `file:/var/lib/proxy`")]
    Storage(String),
    #[error(
        "no data directory is known, because HOME is not set; set one with `--storage file:DIRECTORY`"
    )]
    NoDataDirectory,
    #[error("the list is empty; add at least one, or set `compress = false`")]
    NoCoding,
    #[error("`{text}` is {error}")]
    ContentType {
        text: String,
        #[source]
        error: crate::proxy::MediaRangeError,
    },
    #[error("`{0}` cannot have an error page; use an error status like `502`, `4xx` or `5xx`")]
    ErrorStatus(String),
    #[error("the path of the access log is empty; set one, or `-` for standard output")]
    AccessLogFile,
    #[error(
        "there is no access log to write to; add `access-log = {{ file = \"access.log\" }}` at the top of the file"
    )]
    NoAccessLog,
    #[error("`{text}` is not a valid ACME directory; {}", known_directories(*nearest, known))]
    Directory {
        text: String,
        nearest: Option<&'static str>,
        known: Vec<&'static str>,
    },
    #[error(
        "`{0}` requires credentials for new accounts; add `eab = {{ key-id = \"…\", hmac-key = \"env:EAB_HMAC_KEY\" }}` with the values from the CA"
    )]
    NeedsExternalAccount(String),
    #[error(
        "`{0}` requires credentials for new accounts; add `--eab-key-id` and `--eab-hmac-key` with the values from the CA"
    )]
    NeedsExternalAccountFlags(String),
    #[error("`--eab-key-id` and `--eab-hmac-key` must be used together; add the missing one")]
    HalfExternalAccount,
    #[error("the `hmac-key` of `eab` is not base64url; copy it exactly as the CA shows it")]
    HmacKey,
    #[error("the environment variable `{0}` is not set; set it, or use a file with `file:PATH`")]
    SecretVariable(String),
    #[error("the secret in {} cannot be read: {source}", path.display())]
    SecretFile {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    #[error("the secret is empty; set it, or use `env:NAME` or `file:PATH`")]
    SecretEmpty,
    #[error(
        "`page-token` is easy to guess; use at least {0} characters, as `openssl rand -hex 20` prints them"
    )]
    ShortPageToken(usize),
    #[error(
        "`{0}` is not a valid name for an issuer; use another (`internal` means the internal CA)"
    )]
    IssuerName(String),
    #[error("two issuers have the name `{0}`; set another `name` for one of them")]
    SameIssuer(String),
    #[error("`{text}` is not a known issuer; use {}", issuer_names(known))]
    UnknownIssuer { text: String, known: Vec<String> },
    #[error("a site with `tls` files needs no issuer; remove `issuer` or `tls`")]
    IssuerAndTls,
    #[error("an ACME directory must use https; use `https://` instead of `{0}://`")]
    DirectoryScheme(String),
    #[error(
        "`{0}` is not a valid DNS server; use `system` or an IP address, as in `9.9.9.9` or `[2620:fe::9]:53`"
    )]
    Resolver(String),
    #[error("`resolvers` is empty; add at least one DNS server, as in `[\"system\"]`")]
    NoResolver,
    #[error(
        "`{0}` is not a valid name constraint; use a domain, which includes all names below it, as in `home.arpa`, or a network, as in `10.0.0.0/8`"
    )]
    NameConstraint(String),
    #[error("`{0}` is empty; set the path of a command, as in `/etc/proxy/{0}`")]
    NoHook(String),
    #[error("`{0}` holds no URL; set one that begins with `https://`")]
    Webhook(String),
    #[error("{0}")]
    File(String),
    #[error(
        "`{0}` is not a valid trusted peer; use a network, an address, `private`, `cloudflare` or `fastly`, as in `[\"10.0.0.0/8\", \"cloudflare\"]`"
    )]
    TrustedPeer(String),
    #[error(
        "`{0}` includes every client, so each could forge its address; use the networks of your own proxies"
    )]
    TrustsAll(ipnet::IpNet),
    #[error(
        "`{text}` has bits set after its prefix; use `{network}`, or a single address without `/`"
    )]
    NetworkBits { text: String, network: ipnet::IpNet },
    #[error(
        "PROXY headers are accepted only from trusted peers, and there are none; add your load balancer, as in `trust = [\"10.0.0.0/8\"]`"
    )]
    ProxyProtocolWithoutTrust,
    #[error("`--staging` and `--acme-directory` set two different directories; keep one of them")]
    StagingAndDirectory,

    #[error(transparent)]
    Dns(#[from] DnsChallengeProblem),

    #[error(
        "there is no site; add one, as in `[sites]` followed by `\"www.example.org\" = \"localhost:3000\"`"
    )]
    NoSites,
    #[error(
        "`{name}` is not a valid site name: {error}; use a form like `www.example.org`, without scheme, port and path"
    )]
    SiteName {
        name: String,
        #[source]
        error: NameError,
    },
    #[error("TOML reads the dots of an unquoted name as nested tables; quote the name: `\"{0}\"`")]
    UnquotedName(String),
    #[error("the site `{pattern}` is already defined on line {line}; keep one of the two")]
    SameSite { pattern: HostPattern, line: usize },
    #[error("the site on line {0} is already the default; keep only one `default = true`")]
    SecondDefault(usize),
    #[error("`{}` and `{}` are both actions; keep one of them", .0[0], .0[1])]
    TwoActions([&'static str; 2]),
    #[error(
        "the site has no action; add `upstream = \"localhost:3000\"` or `redirect = \"https://www.example.org\"`"
    )]
    NoAction,
    #[error("neither the route nor its site has an action; add `upstream = \"localhost:3000\"`")]
    NoRouteAction,
    #[error("{0}")]
    Prefix(#[from] PrefixError),
    #[error(
        "the route `{prefix}` is already defined on line {line}, so this one never matches; keep one of the two"
    )]
    SameRoute { prefix: PathPrefix, line: usize },
    #[error(
        "the site itself already has an action for `/`, so this route never matches; keep one of the two"
    )]
    SiteRoute,
    #[error(
        "`routes` is empty; add one, as in `routes = {{ \"/api/\" = \"localhost:4000\" }}`, or remove it"
    )]
    NoRoutes,
    #[error("`strip-prefix` and `rewrite` both change the path; keep one of them")]
    StripAndRewrite,
    #[error("`{0}` has no effect, because the proxy answers these requests itself; remove it")]
    WithoutUpstream(&'static str),
    #[error("{0}")]
    HeaderChange(#[from] HeaderChangeError),
    #[error("`{0}` is changed twice; keep one of the changes")]
    SameHeader(HeaderName),
    #[error("{0}")]
    Respond(#[from] FixedResponseError),
    #[error("`{0}` is not a valid status; use a number, as in `404`")]
    Status(String),
    #[error("`{0}` is outside of the folder; use a path below it, as in `index.html`")]
    Fallback(String),
    #[error("{0}")]
    Address(#[from] AddressError),
    #[error(transparent)]
    Balancing(#[from] BalancingProblem),
    #[error("the list of upstreams is empty; add one, as in `[\"localhost:3000\"]`")]
    NoAddress,
    #[error(
        "the proxy itself listens on `{0}`, so requests would loop; use the port of the backend"
    )]
    OwnAddress(crate::upstream::Address),
    #[error(
        "`{0}` is listed twice; list it once, and use `{{ address = \"{0}\", weight = 2 }}` to give it more requests"
    )]
    SameAddress(crate::upstream::Address),
    #[error(
        "`insecure = true` accepts any certificate, so `root` has no effect; remove one of them"
    )]
    InsecureAndRoot,
    #[error(
        "`{name}` is not a valid name for a backend: {error}; use a form like `app.internal`, or `{{host}}` for the host of each request"
    )]
    Sni {
        name: String,
        #[source]
        error: NameError,
    },
    #[error(
        "`tls` has no effect on an upstream without TLS; use an address like `https://app:8443`, or remove `tls`"
    )]
    TlsWithoutHttps,
    #[error("{0}")]
    Redirect(#[from] RedirectError),
    #[error("`{0}` leads back to this route, so clients would loop; use another host or path")]
    RedirectLoop(String),
    #[error(
        "`{0}` is not a valid URL; use an http or https URL, as in `http://localhost:4000/allowed`"
    )]
    Ask(String),
    #[error(
        "no certificate can be obtained for the wildcard `{0}` as a whole; add `dns = {{ … }}` to prove it in DNS, `on-demand = {{ ask = \"http://…\" }}` to get one per name, or `tls = {{ cert = \"…\", key = \"…\" }}`"
    )]
    WildcardCertificate(HostPattern),
    #[error(
        "your CA signs the wildcard `{0}` only as a whole; add `dns = {{ … }}` to prove it in DNS, `on-demand = {{ ask = \"http://…\" }}` to get one certificate per name, or `issuer = \"internal\"` to let the internal CA sign"
    )]
    LocalWildcard(HostPattern),
    #[error(
        "the site `*` needs `on-demand = {{ ask = \"http://…\" }}`, to decide which names may have a certificate"
    )]
    AnyWithoutAsk,
    #[error(
        "`{0}` has no effect, because `http = \"serve\"` serves the site without TLS; remove `{0}`, or set `http = \"both\"`"
    )]
    WithoutTls(&'static str),
    #[error(
        "clients cannot present certificates over plain HTTP; remove `client-auth`, or remove `http`"
    )]
    ClientAuthWithoutTls,
    #[error(
        "`on-demand` is only for wildcard sites and `*`; remove it, because `{0}` gets its certificate without it"
    )]
    OnDemandExact(HostPattern),
    #[error("a site with `tls` files needs no certificate on demand; remove `on-demand` or `tls`")]
    OnDemandAndTls,

    #[error(transparent)]
    Guard(#[from] GuardProblem),
    #[error(transparent)]
    Tracing(#[from] TracingProblem),

    #[error(
        "`{0}` cannot change while the proxy runs; restart the proxy, or restore the old value"
    )]
    RestartOnly(&'static str),
    #[error(
        "`{0}` is no longer set, and cannot change while the proxy runs; restart the proxy, or restore the old value"
    )]
    RestartOnlyGone(&'static str),

    #[error("no host name is set; add `--domain NAME` or `--on-demand-ask URL`")]
    NoDomain,
    #[error("no upstream is set; add `--upstream ADDR`, as in `--upstream localhost:3000`")]
    NoUpstream,
    #[error(
        "no certificate can be obtained for the wildcard `{0}` as a whole; add `--on-demand-ask URL` to get one per name"
    )]
    WildcardWithoutAsk(HostPattern),
}

impl Problem {
    /// Returns true if the text is not TOML.
    pub(super) fn is_syntax(&self) -> bool {
        matches!(
            self,
            Self::Syntax(_) | Self::TypographicQuote(_) | Self::Colon(_) | Self::ForeignFormat(_)
        )
    }
}

fn first_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", first on line {line}"))
}

/// Joins words, as in `a`, `b` or `c`.
fn alternatives(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

fn known_directories(nearest: Option<&str>, known: &[&str]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("use `{}` or an https URL", known.join("`, `")),
    }
}

fn issuer_names(known: &[String]) -> String {
    let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("`internal` or {}", known.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::troubleshooting_tests::quotations;

    #[test]
    fn problems_that_prevent_a_certificate_are_documented() {
        let wildcard = HostPattern::parse("*.example.org").unwrap();
        let quotations = quotations();
        for problem in [
            Problem::WildcardCertificate(wildcard),
            Problem::LocalWildcard(HostPattern::parse("*.home.arpa").unwrap()),
            Problem::NeedsExternalAccount("zerossl".to_owned()),
        ] {
            assert!(quotations.contains(&problem.to_string()), "{problem}");
        }
    }
}
