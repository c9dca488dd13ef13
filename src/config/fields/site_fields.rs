//! The keys of a site about redirects, TLS with clients, compression, error pages and maintenance.

use std::path::PathBuf;

use crate::config::report::Problem;
use crate::config::value::read_status;
use crate::proxy::{
    Coding, CompressionOptions, HttpMode, MaintenanceOptions, MediaRange, RedirectOptions,
    SiteFeatureOptions, Statuses,
};
use crate::tls::{ClientAuthMode, ClientAuthOptions, TlsVersion};

use super::codec::{Codec, boolean, duration, path, read_path, size, string, text};
use super::field::{Field, field};

const TLS_VERSIONS: [(&str, TlsVersion); 2] =
    [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];

const HTTP_MODES: [(&str, HttpMode); 3] = [
    ("redirect", HttpMode::Redirect),
    ("serve", HttpMode::Serve),
    ("both", HttpMode::Both),
];

const CLIENT_AUTH_MODES: [(&str, ClientAuthMode); 2] = [
    ("required", ClientAuthMode::Required),
    ("optional", ClientAuthMode::Optional),
];

const CODINGS: [(&str, Coding); 3] = [
    ("zstd", Coding::Zstd),
    ("br", Coding::Brotli),
    ("gzip", Coding::Gzip),
];

pub(crate) fn tls_versions() -> Codec<TlsVersion> {
    Codec::choice(&TLS_VERSIONS)
}

pub(crate) fn http_modes() -> Codec<HttpMode> {
    Codec::choice(&HTTP_MODES).omit(|mode| *mode == HttpMode::default())
}

pub(crate) fn client_auth() -> Codec<ClientAuthOptions> {
    let fields = || -> Vec<Field<ClientAuthOptions>> {
        vec![
            field!("ca", ca, path()),
            field!("mode", mode, Codec::choice(&CLIENT_AUTH_MODES)),
        ]
    };
    let with_ca = |ca| ClientAuthOptions {
        ca,
        mode: ClientAuthMode::Required,
    };
    Codec::table(fields, move || with_ca(PathBuf::new())).or_string(path(), with_ca)
}

pub(crate) fn redirect() -> Vec<Field<RedirectOptions>> {
    let status = Codec::new(
        |value, _| read_status(value),
        |status: &u16| i64::from(*status).into(),
    );
    vec![
        field!("to", to, string()),
        field!("status", status, status),
        field!("append", append, boolean()),
    ]
}

/// The keys that are valid both at the top of the file, for all sites, and in a site.
pub(crate) fn features() -> Vec<Field<SiteFeatureOptions>> {
    vec![
        field!("request-id", request_id, boolean()),
        field!("compress", compression, compression()),
        field!("error-pages", error_pages, error_pages()),
    ]
}

/// The keys that are valid only in a site.
pub(crate) fn site_features() -> Vec<Field<SiteFeatureOptions>> {
    vec![
        field!("access-log", access_log, boolean().omit(|it| *it)),
        field!("maintenance", maintenance, maintenance()),
    ]
}

fn compression() -> Codec<Option<CompressionOptions>> {
    let fields = || -> Vec<Field<CompressionOptions>> {
        let range = |text: &str| {
            MediaRange::parse(text).map_err(|error| Problem::ContentType {
                text: text.to_owned(),
                error,
            })
        };
        let empty = |_: &str| Problem::NoCoding;
        let codings = Codec::choice(&CODINGS).list().not_empty(empty);
        vec![
            field!("codings", codings, codings),
            field!("types", types, Codec::text(range).list().not_empty(empty)),
            field!("min-size", min_size, size()),
        ]
    };
    let Codec { read, write } = Codec::table(fields, CompressionOptions::default)
        .optional()
        .or_short(
            |value| value.is_boolean(),
            |value, _| Ok(value.boolean()?.then(CompressionOptions::default)),
        );
    Codec {
        read,
        write: Box::new(move |options| Some(write(options).unwrap_or_else(|| false.into()))),
    }
}

/// Pages by status. If two keys mean the same statuses, the later one applies.
fn error_pages() -> Codec<Vec<(Statuses, PathBuf)>> {
    Codec {
        read: Box::new(|value, folder, report| {
            let table = report.accept(value.start(), value.table())?;
            let mut pages = Vec::new();
            for (key, start, value) in table.entries() {
                let Some(statuses) = Statuses::parse(key) else {
                    report.at(start, Problem::ErrorStatus(key.to_owned()));
                    continue;
                };
                if let Some(path) = read_path(&value, folder, report) {
                    pages.retain(|(other, _)| *other != statuses);
                    pages.push((statuses, path));
                }
            }
            Some(pages)
        }),
        write: Box::new(|pages| {
            let pages = pages.iter();
            let pages = pages.map(|(key, path)| (key.to_string(), text(&path.display())));
            let table: toml::Table = pages.collect();
            (!table.is_empty()).then_some(table.into())
        }),
    }
}

fn maintenance() -> Codec<Option<MaintenanceOptions>> {
    let fields = || -> Vec<Field<MaintenanceOptions>> {
        vec![
            field!("page", page, path().optional()),
            field!("retry-after", retry_after, duration()),
        ]
    };
    Codec::table(fields, MaintenanceOptions::default)
        .or_string(path(), |page| MaintenanceOptions {
            page: Some(page),
            ..MaintenanceOptions::default()
        })
        .optional()
        .or_short(
            |value| value.is_boolean(),
            |value, _| Ok(value.boolean()?.then(MaintenanceOptions::default)),
        )
}
