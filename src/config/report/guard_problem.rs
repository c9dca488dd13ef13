//! Problems with the access rules of a site or route.

use crate::proxy::PasswordHashError;

/// A problem with an access rule, with its fix.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuardProblem {
    #[error(
        "`{0}` is not a valid network; use a form like `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7` or `private`"
    )]
    Network(String),
    #[error(
        "`satisfy = \"any\"` needs `allow` and a password to choose between; add `allow` and `basic-auth` or `forward-auth`, or remove it"
    )]
    NothingToSatisfy,
    #[error(
        "the site does not ask clients for certificates; add `client-auth = {{ ca = \"clients-ca.pem\", mode = \"optional\" }}` to the site"
    )]
    NoClientAuth,
    #[error("the list of networks is empty; add one, as in `[\"10.0.0.0/8\"]`, or remove `{0}`")]
    NoNetwork(String),
    #[error(
        "`users` is empty, so nobody could log in; add one, as in `users = {{ anna = \"…\" }}`"
    )]
    NoUser,
    #[error("the user name `{0}` is empty or has a colon, which clients cannot send; use another")]
    User(String),
    #[error("the password of `{user}` cannot be used: {error}")]
    Password {
        user: String,
        #[source]
        error: PasswordHashError,
    },
    #[error("`{0:?}` is not a valid realm; remove the control characters")]
    Realm(String),
    #[error(
        "`{0}` is not a valid URL; use an http or https URL without name and password, as in `http://localhost:9091/api/verify`"
    )]
    ForwardAuth(String),
    #[error("`{0}` is not a valid header name; use a form like `Remote-User`")]
    Header(String),
    #[error("`{0}` applies to the connection and cannot be copied; use another header")]
    FramingHeader(String),
    #[error("`{0}` is not a valid time; use a form like `30d` or `1y`, at most `10y`")]
    MaxAge(String),
    #[error(
        "the preload lists accept only sites with `include-subdomains = true` and a `max-age` of a year or more; add them or remove `preload`"
    )]
    Preload,
    #[error("a site can only lower the `{key}` of all sites; use at most {limit}")]
    Wider { key: &'static str, limit: String },
}
