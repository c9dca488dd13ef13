//! The features of a site beyond routes and guards: access log, request ids, compression, error pages and maintenance.

use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use http_body::Body as _;

use super::access_log::LogEntry;
use super::body::Body;
use super::compression::{self, Coding, CompressionOptions, Encoder};
use super::request::{REQUEST_ID, RequestContext, RequestIds, request_id};
use super::respond::{ErrorPages, Maintenance, MaintenanceOptions, PageError, Statuses};

/// Options of a site's features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFeatureOptions {
    /// Whether requests are written to the access log.
    pub access_log: bool,
    /// Whether each request gets an id, which is sent to backend and client.
    pub request_id: bool,
    /// Compression of responses, if they are compressed.
    pub compression: Option<CompressionOptions>,
    /// Files of the pages that replace the proxy's own error pages.
    pub error_pages: Vec<(Statuses, PathBuf)>,
    /// Maintenance mode, if it is on.
    pub maintenance: Option<MaintenanceOptions>,
}

impl Default for SiteFeatureOptions {
    fn default() -> Self {
        Self {
            access_log: true,
            request_id: false,
            compression: None,
            error_pages: Vec::new(),
            maintenance: None,
        }
    }
}

impl SiteFeatureOptions {
    /// Files that are read when the site is loaded.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let maintenance = self.maintenance.as_ref();
        let pages = self.error_pages.iter().map(|(_, path)| path);
        pages
            .chain(maintenance.and_then(|maintenance| maintenance.page.as_ref()))
            .map(PathBuf::as_path)
    }
}

/// Preferences of one request's client about compression. Empty for a site that does not compress.
#[derive(Debug, Default)]
pub(super) struct CompressionWish {
    /// Coding that the client prefers.
    coding: Option<Coding>,
    /// Tags in If-None-Match, if one of them is weak.
    known_tags: Option<HeaderValue>,
}

/// The features of a site, ready for requests.
#[derive(Debug)]
pub struct SiteFeatures {
    is_logged: bool,
    has_request_id: bool,
    compression: Option<CompressionOptions>,
    error_pages: ErrorPages,
    maintenance: Option<Maintenance>,
}

impl SiteFeatures {
    /// Loads the features and their files, which blocks. `None` if all options have their defaults, with which a
    /// request needs no feature.
    pub fn load(options: &SiteFeatureOptions) -> Result<Option<Box<Self>>, PageError> {
        if *options == SiteFeatureOptions::default() {
            return Ok(None);
        }
        let maintenance = options.maintenance.as_ref().map(Maintenance::read);
        Ok(Some(Box::new(Self {
            is_logged: options.access_log,
            has_request_id: options.request_id,
            compression: options.compression.clone(),
            error_pages: ErrorPages::read(&options.error_pages)?,
            maintenance: maintenance.transpose()?,
        })))
    }

    /// `true` if requests are written to the access log.
    pub(super) fn is_logged(&self) -> bool {
        self.is_logged
    }

    /// `true` if the site is in maintenance mode.
    pub(super) fn is_in_maintenance(&self) -> bool {
        self.maintenance.is_some()
    }

    /// Begins a request: gives it an id, and suppresses its log entry if the site is not logged. Returns what the
    /// client wants of compression.
    pub(super) fn begin(
        &self,
        headers: &mut HeaderMap,
        context: &mut RequestContext<'_>,
        ids: &RequestIds,
    ) -> CompressionWish {
        if !self.is_logged {
            context.entry = context.entry.take().and_then(LogEntry::silenced);
        }
        if self.has_request_id {
            let given = request_id::from_trusted_peer(headers, context.conn);
            let id = given.unwrap_or_else(|| ids.next());
            if let Some(entry) = &mut context.entry {
                entry.set_request_id(id.clone());
            }
            context.request_id = Some(id);
        }
        let Some(offered) = &self.compression else {
            return CompressionWish::default();
        };
        // A compressed HTTP/1.0 body would have no length, so that the client could not tell its end from a failure.
        let may_compress = context.version > Version::HTTP_10;
        let choose = || compression::choose(headers, &offered.codings);
        CompressionWish {
            coding: may_compress.then(choose).flatten(),
            known_tags: compression::restore(headers),
        }
    }

    /// Replaces the page in one of the proxy's own responses with the site's.
    pub(super) fn put_page(&self, response: &mut Response<Body>) {
        self.error_pages.put(response);
        if let Some(maintenance) = &self.maintenance {
            maintenance.put(response);
        }
    }

    /// Completes the response: sets the request's id, and compresses the body as the client wishes.
    pub(super) fn finish(
        &self,
        mut response: Response<Body>,
        wish: CompressionWish,
        context: &mut RequestContext<'_>,
    ) -> Response<Body> {
        if let Some(id) = context.request_id.take() {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        match &self.compression {
            Some(options) if compression::is_compressible(options, &response) => {
                compress(response, wish.coding)
            }
            Some(_) if response.status() == StatusCode::NOT_MODIFIED => {
                let known = wish.known_tags.as_ref();
                compression::set_not_modified_head(response.headers_mut(), known);
                response
            }
            _ => response,
        }
    }
}

fn compress(mut response: Response<Body>, coding: Option<Coding>) -> Response<Body> {
    // A response to HEAD has the head of the compressed response, but no body to compress.
    let encoder = coding
        .filter(|_| !response.body().is_end_stream())
        .map(Encoder::open);
    let coding = coding.filter(|_| !matches!(encoder, Some(None)));
    compression::set_head(response.headers_mut(), coding);
    match encoder.flatten() {
        Some(encoder) => response.map(|body| body.encoded(encoder)),
        None => response,
    }
}
