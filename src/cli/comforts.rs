//! What `proxy explain` says of the access log and of what sites add to their requests.

use std::io::{self, Write};

use crate::config::{Config, SiteFeatureOptions, format_size};

use super::values::{duration, list, quoted};

/// All sites, wherever the keys stand.
pub(super) fn write_access_log(config: &Config, out: &mut dyn Write) -> io::Result<()> {
    let Some(options) = &config.access_log else {
        return writeln!(out, "\n# access-log: none; requests are not logged");
    };
    writeln!(out, "\n[access-log]")?;
    let line = format!("file = {}", quoted(&options.target));
    writeln!(out, "{line:<44} # {}", config.origins.of("access-log"))?;
    writeln!(out, "format = {}", quoted(options.format))?;
    writeln!(out, "query = {}", options.query)
}

/// The keys of one site, within its table.
pub(super) fn write_site(features: &SiteFeatureOptions, out: &mut dyn Write) -> io::Result<()> {
    if !features.access_log {
        writeln!(out, "access-log = false")?;
    }
    writeln!(out, "request-id = {}", features.request_id)?;
    match &features.compression {
        None => writeln!(out, "compress = false")?,
        Some(options) => writeln!(
            out,
            "compress = {{ codings = {}, types = {}, min-size = {} }}",
            list(&options.codings),
            list(&options.types),
            quoted(format_size(options.min_size)),
        )?,
    }
    if !features.error_pages.is_empty() {
        let pages: Vec<_> = features
            .error_pages
            .iter()
            .map(|(statuses, path)| format!("{statuses} = {}", quoted(path.display())))
            .collect();
        writeln!(out, "error-pages = {{ {} }}", pages.join(", "))?;
    }
    let Some(maintenance) = &features.maintenance else {
        return Ok(());
    };
    let page = maintenance.page.as_ref();
    let page = page.map(|page| format!("page = {}, ", quoted(page.display())));
    writeln!(
        out,
        "maintenance = {{ {}retry-after = {} }}",
        page.unwrap_or_default(),
        duration(maintenance.retry_after)
    )
}
