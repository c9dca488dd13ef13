//! The keys that have a single value: at the top of a Proxyfile and in a site, with their fields in `Config` and
//! `SiteConfig`.

use crate::certs::Secret;
use crate::config::fields::{
    self, Codec, Field, boolean, command, field, path, secret, text, tls_versions,
};
use crate::config::report::Problem;
use crate::config::value::{
    ResolverName, StorageUrl, parse_email, parse_peer, parse_resolver, parse_user, read_own_listen,
};
use crate::dns_client::NameServer;

use super::config::Config;
use super::site::SiteConfig;

/// Least number of bytes of the token of the status page.
const SHORTEST_PAGE_TOKEN: usize = 16;

/// Returns the keys in the order in which a listing shows them.
pub(crate) fn scalar_fields() -> Vec<Field<Config>> {
    let storage = Codec::new(
        |value, folder| Ok(StorageUrl::parse(value.string()?)?.within(folder)),
        text,
    );
    let own_listen = || Codec::new(|value, _| read_own_listen(value), text).optional();
    let server = Codec::new(
        |value, _| parse_resolver(value.string()?),
        |server: &NameServer| text(&ResolverName(*server)),
    );
    let resolvers = server.list().not_empty(|_| Problem::NoResolver);
    vec![
        field!("storage", storage, storage),
        field!("admin", admin, path().optional()),
        field!("user", user, Codec::text(parse_user).optional()),
        field!("metrics", metrics, own_listen()),
        field!("page", page, own_listen()),
        field!("page-token", page_token, page_token()),
        field!("tracing", tracing, fields::tracing()),
        field!("watch", watch, boolean()),
        field!("email", email, Codec::text(parse_email).optional()),
        field!("preflight", preflight.is_on, boolean()),
        field!("resolvers", resolver.servers, resolvers),
        field!("trust", trust, Codec::text(parse_peer).list()),
        field!("forwarded", forwarded, boolean()),
        field!("min-tls", min_tls, tls_versions()),
        field!("http3", listen.http3, fields::http3()),
        field!("on-cert", on_cert, command().optional()),
        field!(
            "on-problem",
            on_problem,
            fields::problem_receiver().optional()
        ),
    ]
}

/// The token of the status page, which must be too long to be guessed.
fn page_token() -> Codec<Option<Secret>> {
    secret().checked(is_short).optional()
}

fn is_short(token: &Secret) -> Option<Problem> {
    let is_short = token.expose().len() < SHORTEST_PAGE_TOKEN;
    is_short.then_some(Problem::ShortPageToken(SHORTEST_PAGE_TOKEN))
}

/// Returns the keys of a site in the order in which a listing shows them.
pub(crate) fn site_scalar_fields() -> Vec<Field<SiteConfig>> {
    vec![
        field!("on-demand", on_demand, fields::on_demand().optional()),
        field!("tls", tls, fields::tls_files().optional()),
        field!("client-auth", client_auth, fields::client_auth().optional()),
        field!("min-tls", min_tls, tls_versions()),
        field!("early-data", early_data, boolean().omit(|it| !it)),
        field!("own-certificate", own_certificate, boolean().omit(|it| !it)),
        field!("default", default, boolean().omit(|it| !it)),
    ]
}
