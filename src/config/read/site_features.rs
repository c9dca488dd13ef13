//! What a site adds to its requests: the same keys for all sites at the top of the file, and for one within it.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use crate::config::report::{Problem, Report};
use crate::config::value::{TomlTable, TomlValue, parse_duration, parse_size};
use crate::proxy::{
    Coding, CompressionOptions, MaintenanceOptions, MediaRange, SiteFeatureOptions, Statuses,
};

/// Reads the features of all sites.
pub(crate) fn read_shared(
    table: &mut TomlTable<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> SiteFeatureOptions {
    let mut features = SiteFeatureOptions::default();
    read_common(table, (&mut features, folder), report);
    features
}

/// What holds for a site that says nothing of its own.
pub(crate) struct Context<'a> {
    pub(crate) shared: &'a SiteFeatureOptions,
    pub(crate) has_access_log: bool,
    pub(crate) folder: &'a Path,
}

impl Context<'_> {
    /// Reads the features of one site.
    pub(crate) fn read_site(
        &self,
        table: &mut TomlTable<'_>,
        report: &mut Report<'_>,
    ) -> SiteFeatureOptions {
        let mut features = self.shared.clone();
        let is_logged = table.read("access-log", report, |value| match value.boolean()? {
            true if !self.has_access_log => Err(Problem::NoAccessLog),
            is_logged => Ok(is_logged),
        });
        features.access_log = is_logged.unwrap_or(features.access_log);
        read_common(table, (&mut features, self.folder), report);
        features.maintenance = read_maintenance(table, self.folder, report);
        features
    }
}

fn read_common(
    table: &mut TomlTable<'_>,
    (features, folder): (&mut SiteFeatureOptions, &Path),
    report: &mut Report<'_>,
) {
    if let Some(request_id) = table.read("request-id", report, TomlValue::boolean) {
        features.request_id = request_id;
    }
    if let Some(value) = table.value("compress") {
        features.compression = read_compression(value, report);
    }
    if let Some(section) = table.read("error-pages", report, TomlValue::table) {
        read_error_pages(&section, (features, folder), report);
    }
}

fn read_compression(value: TomlValue<'_>, report: &mut Report<'_>) -> Option<CompressionOptions> {
    let mut options = CompressionOptions::default();
    let mut section = match (value.node(), value.table()) {
        (DeValue::Boolean(is_on), _) => return is_on.then_some(options),
        (_, Ok(section)) => section,
        _ => {
            report.at(value.start(), value.mismatch("`true`, `false` or a table"));
            return None;
        }
    };
    let codings = read_list(&mut section, "codings", report, |text| {
        Coding::named(text).ok_or_else(|| Problem::Coding(text.to_owned()))
    });
    let types = read_list(&mut section, "types", report, |text| {
        MediaRange::parse(text).map_err(|error| Problem::ContentType {
            text: text.to_owned(),
            error,
        })
    });
    let min_size = section.read("min-size", report, |value| {
        parse_size(&value.text("a size, as in `\"1k\"`")?)
    });
    section.finish(report);
    options.codings = codings.unwrap_or(options.codings);
    options.types = types.unwrap_or(options.types);
    options.min_size = min_size.unwrap_or(options.min_size);
    Some(options)
}

/// Reads a list of texts, which is not empty.
fn read_list<T>(
    section: &mut TomlTable<'_>,
    key: &'static str,
    report: &mut Report<'_>,
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Option<Vec<T>> {
    let list = section.read(key, report, |value| {
        match value.list("a list of strings")? {
            list if list.is_empty() => Err(Problem::NoCoding),
            list => Ok(list),
        }
    })?;
    let mut parsed = Vec::with_capacity(list.len());
    for value in list {
        match value.string().and_then(&parse) {
            Ok(item) => parsed.push(item),
            Err(problem) => report.at(value.start(), problem),
        }
    }
    Some(parsed)
}

fn read_error_pages(
    section: &TomlTable<'_>,
    (features, folder): (&mut SiteFeatureOptions, &Path),
    report: &mut Report<'_>,
) {
    for (key, start, value) in section.entries() {
        let Some(statuses) = Statuses::parse(key) else {
            report.at(start, Problem::ErrorStatus(key.to_owned()));
            continue;
        };
        match value.string() {
            Ok(path) => {
                features.error_pages.retain(|(other, _)| *other != statuses);
                features.error_pages.push((statuses, folder.join(path)));
            }
            Err(problem) => report.at(value.start(), problem),
        }
    }
}

fn read_maintenance(
    table: &mut TomlTable<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<MaintenanceOptions> {
    let value = table.value("maintenance")?;
    let mut options = MaintenanceOptions::default();
    let page = |text: &str| -> Option<PathBuf> { Some(folder.join(text)) };
    match value.node() {
        DeValue::Boolean(is_on) => return is_on.then_some(options),
        DeValue::String(text) => options.page = page(text),
        DeValue::Table(_) => {
            let mut section = value.table().ok()?;
            let text = section.read("page", report, TomlValue::string);
            let retry_after = section.read("retry-after", report, |value| {
                parse_duration(value.string()?)
            });
            section.finish(report);
            options.page = text.and_then(page);
            options.retry_after = retry_after.unwrap_or(options.retry_after);
        }
        _ => {
            let expected = "`true`, `false`, a page or a table";
            report.at(value.start(), value.mismatch(expected));
        }
    }
    Some(options)
}
