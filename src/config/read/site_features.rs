//! The features of a site: those of all sites, and what the site itself says.

use crate::config::fields::{self, TableReader};
use crate::config::model::Config;
use crate::config::report::{Problem, Report};
use crate::proxy::SiteFeatureOptions;

/// Reads the features among a site's keys over those of all sites.
pub(crate) fn read(
    reader: TableReader<'_, '_>,
    config: &Config,
    report: &mut Report<'_>,
) -> SiteFeatureOptions {
    let mut features = config.features.clone();
    reader.read(&fields::site_features(), &mut features, report);
    reader.read(&fields::features(), &mut features, report);
    // The pages of all sites stay for the statuses that the site does not name.
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
