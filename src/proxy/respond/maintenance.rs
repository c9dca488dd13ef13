//! Maintenance mode: the response of a site that is closed for a while.

use std::path::PathBuf;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderValue, Response};

use super::error_pages::{PageError, SitePage};
use crate::proxy::body::Body;

/// A site that is closed for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceOptions {
    /// What its visitors see.
    pub page: Option<PathBuf>,
    /// When they are told to come again.
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

/// The answer of a site that is closed for a while.
#[derive(Debug)]
pub(in crate::proxy) struct Maintenance {
    page: Option<SitePage>,
    retry_after: HeaderValue,
}

impl Maintenance {
    pub(in crate::proxy) fn read(options: &MaintenanceOptions) -> Result<Self, PageError> {
        Ok(Self {
            page: options.page.as_deref().map(SitePage::read).transpose()?,
            retry_after: HeaderValue::from(options.retry_after.as_secs().max(1)),
        })
    }

    pub(in crate::proxy) fn put(&self, response: &mut Response<Body>) {
        let retry_after = self.retry_after.clone();
        response.headers_mut().insert(RETRY_AFTER, retry_after);
        if let Some(page) = &self.page {
            page.put(response);
        }
    }
}
