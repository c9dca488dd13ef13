//! What can be wrong with a guard of a site.

use crate::proxy::PasswordHashError;

/// What can be wrong with a guard, each with its fix.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuardProblem {
    #[error("`{0}` is no network; write it as in `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.7`")]
    Network(String),
    #[error("the list of networks is empty; name one, as in `[\"10.0.0.0/8\"]`, or remove `{0}`")]
    NoNetwork(&'static str),
    #[error("nobody may come in without users; name one, as in `users = {{ anna = \"…\" }}`")]
    NoUser,
    #[error(
        "the user name `{0}` has a colon or is empty, which no client can send; choose another"
    )]
    User(String),
    #[error("the password of `{user}` cannot be used: {error}")]
    Password {
        user: String,
        #[source]
        error: PasswordHashError,
    },
    #[error("a realm is one line of text; remove the control characters from `{0:?}`")]
    Realm(String),
    #[error(
        "`{0}` is no URL to ask; write an http or https URL without name and password, as in `http://localhost:9091/api/verify`"
    )]
    ForwardAuth(String),
    #[error("`{0}` is no header that can be copied; write its name, as in `Remote-User`")]
    Header(String),
    #[error("`{0}` says what a message is and where it goes; copy another header")]
    FramingHeader(String),
    #[error("`{0}` is no way to count; write `client` or `site`")]
    RateScope(String),
    #[error("`{0}` is no time; write it as in `30d` or `1y`, at most `10y`")]
    MaxAge(String),
    #[error(
        "the preload lists take only sites with `include-subdomains = true` and a `max-age` of a year or more; add them or remove `preload`"
    )]
    Preload,
    #[error("a site can only narrow the `{key}` of all sites, which is {limit}; write no more")]
    Wider { key: &'static str, limit: String },
}
