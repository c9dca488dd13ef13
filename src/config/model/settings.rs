//! The keys at the top of a Proxyfile that hold one value each, with their places in a `Config`.

use crate::config::fields::{Codec, Field, boolean, field, path, tls_versions};
use crate::config::report::Problem;
use crate::config::value::{
    ResolverName, StorageUrl, command, parse_email, parse_peer, parse_resolver, read_own_listen,
};
use crate::dns_client::NameServer;

use super::config::Config;

/// The settings of all sites, in the order in which a listing has them.
pub(crate) fn settings() -> Vec<Field<Config>> {
    let storage = Codec::new(
        |value, folder| Ok(StorageUrl::parse(value.string()?)?.within(folder)),
        |storage: &StorageUrl| storage.to_string().into(),
    );
    let metrics = Codec::new(
        |value, _| read_own_listen(value),
        |address| address.to_string().into(),
    );
    let server = Codec::new(
        |value, _| parse_resolver(value.string()?),
        |server: &NameServer| ResolverName(*server).to_string().into(),
    );
    let on_cert = Codec::new(
        |value, folder| match value.string()? {
            "" => Err(Problem::NoHook),
            path => Ok(command(folder, path)),
        },
        |path| path.display().to_string().into(),
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
