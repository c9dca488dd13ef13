//! The keys at the top of a Proxyfile that have a single value, and their fields in `Config`.

use crate::config::fields::{Codec, Field, boolean, field, path, text, tls_versions};
use crate::config::report::Problem;
use crate::config::value::{
    ResolverName, StorageUrl, command, parse_email, parse_peer, parse_resolver, read_own_listen,
};
use crate::dns::NameServer;

use super::config::Config;

/// Returns the keys in the order in which a listing shows them.
pub(crate) fn settings() -> Vec<Field<Config>> {
    let storage = Codec::new(
        |value, folder| Ok(StorageUrl::parse(value.string()?)?.within(folder)),
        text,
    );
    let metrics = Codec::new(|value, _| read_own_listen(value), text);
    let server = Codec::new(
        |value, _| parse_resolver(value.string()?),
        |server: &NameServer| text(&ResolverName(*server)),
    );
    let on_cert = Codec::new(
        |value, folder| match value.string()? {
            "" => Err(Problem::NoHook),
            path => Ok(command(folder, path)),
        },
        |path| text(&path.display()),
    );
    let resolvers = server.list().not_empty(|_| Problem::NoResolver);
    vec![
        field!("storage", storage, storage),
        field!("admin", admin, path().optional()),
        field!("metrics", metrics, metrics.optional()),
        field!("email", email, Codec::text(parse_email).optional()),
        field!("preflight", preflight.is_on, boolean()),
        field!("resolvers", resolver.servers, resolvers),
        field!("trust", trust, Codec::text(parse_peer).list()),
        field!("forwarded", forwarded, boolean()),
        field!("min-tls", min_tls, tls_versions()),
        field!("on-cert", on_cert, on_cert.optional()),
    ]
}
