//! Maintenance mode, in which a site answers every request with one page.

use std::path::PathBuf;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderValue, Response};

use super::error_pages::{PageError, SitePage};
use crate::proxy::body::Body;

/// Options of a site in maintenance mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceOptions {
    /// File with the page that visitors get.
    pub page: Option<PathBuf>,
    /// Time after which clients are told to try again.
    pub retry_after: Duration,
}

impl Default for MaintenanceOptions {
    fn default() -> Self {
        Self {
            page: None,
            retry_after: Duration::from_secs(300),
        }
    }
}

/// Response of a site in maintenance mode.
#[derive(Debug)]
pub(crate) struct Maintenance {
    page: Option<SitePage>,
    retry_after: HeaderValue,
}

impl Maintenance {
    pub(crate) fn read(options: &MaintenanceOptions) -> Result<Self, PageError> {
        Ok(Self {
            page: options.page.as_deref().map(SitePage::read).transpose()?,
            retry_after: HeaderValue::from(options.retry_after.as_secs().max(1)),
        })
    }

    pub(crate) fn put(&self, response: &mut Response<Body>) {
        let retry_after = self.retry_after.clone();
        response.headers_mut().insert(RETRY_AFTER, retry_after);
        if let Some(page) = &self.page {
            page.put(response);
        }
    }
}
