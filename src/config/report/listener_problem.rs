//! Problems with the listeners, and with their use by sites.

use std::net::SocketAddr;

/// A problem with a listener, with its fix.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenerProblem {
    #[error(
        "`{0}` is not a valid name for a listener; use letters, digits, `-` and `_`, as in `lan`"
    )]
    Name(String),
    #[error("`{key}` is empty; add at least one address, as in `{key} = \"{example}\"`")]
    NoAddress { key: String, example: &'static str },
    #[error("two listeners have the address {0}; keep one of them")]
    SameAddress(SocketAddr),
    #[error("http and https cannot share {0}; set different ports")]
    SharedPort(SocketAddr),
    #[error("metrics cannot share {0} with http or https; set another port")]
    SharedMetrics(SocketAddr),
    #[error("the page cannot share {0} with http, https or metrics; set another port")]
    SharedPage(SocketAddr),
    #[error(
        "other machines can reach {0}, so the page needs a token; add `page-token = \"file:/etc/proxy/page-token\"`, or use a loopback address like `127.0.0.1:9180`"
    )]
    OpenPage(SocketAddr),
    #[error(
        "`page-token` has no effect without a page; add `page = \"127.0.0.1:9180\"`, or remove it"
    )]
    TokenWithoutPage,
    #[error(
        "no site is on the listener `{0}`; add `listen = [\"{0}\"]` to a site, or remove the name"
    )]
    Unused(String),
    #[error(
        "`listen` is empty, so the site would never be served; name a listener, as in `[\"lan\"]`, or remove it"
    )]
    NoName,
    #[error("unknown listener `{name}`; {}", known_names(nearest.as_deref(), known))]
    Unknown {
        name: String,
        nearest: Option<String>,
        known: Vec<String>,
    },
    #[error(
        "the site is not served, because no address of `{protocol}` in `[listen]` has the name {}; add one, as in `{protocol} = [{{ name = \"{}\", address = \"{example}\" }}]`",
        alternatives(names), names[0]
    )]
    NotServed {
        protocol: &'static str,
        names: Vec<String>,
        example: &'static str,
    },
    #[error(
        "all addresses of `{protocol}` in `[listen]` have names, so the site must say on which it is served; add `listen = [\"{name}\"]`"
    )]
    AllNamed {
        protocol: &'static str,
        name: String,
    },
}

fn known_names(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known here: `{}`", known.join("`, `")),
    }
}

/// Joins names, as in `a`, `b` or `c`.
fn alternatives(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}
