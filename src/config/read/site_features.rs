//! Reads the features of a site over those of all sites.

use crate::config::fields::{self, TableReader};
use crate::config::model::Config;
use crate::config::report::{Problem, Report};
use crate::proxy::SiteFeatureOptions;

/// Reads the features of a site. Those that it does not set are the features of all sites.
pub(crate) fn read(
    reader: TableReader<'_, '_>,
    config: &Config,
    report: &mut Report<'_>,
) -> SiteFeatureOptions {
    let mut features = config.features.clone();
    reader.read(&fields::site_features(), &mut features, report);
    reader.read(&fields::features(), &mut features, report);
    // For other statuses, the pages of all sites remain.
    if reader.table.has("error-pages") {
        let own = std::mem::take(&mut features.error_pages);
        let shared = config.features.error_pages.iter();
        let is_free = |statuses| own.iter().all(|(named, _)| named != statuses);
        let shared = shared.filter(|(statuses, _)| is_free(statuses)).cloned();
        features.error_pages = shared.chain(own.iter().cloned()).collect();
    }
    if let Some(value) = reader.table.value("access-log")
        && config.access_log.is_none()
        && value.boolean().is_ok_and(|is_logged| is_logged)
    {
        report.at(value.start(), Problem::NoAccessLog);
    }
    features
}
