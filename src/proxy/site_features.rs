//! The features of a site beyond routes and guards: access log, request ids, compression, error pages and maintenance.

use std::path::{Path, PathBuf};

use http::{HeaderMap, Response, Version};
use http_body::Body as _;

use super::body::Body;
use super::compression::{self, Coding, CompressionOptions, Encoder};
use super::request::{REQUEST_ID, RequestContext, RequestIds, request_id};
use super::respond::{ErrorPages, Maintenance, MaintenanceOptions, PageError, Statuses};

/// The features of a site, as the configuration says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFeatureOptions {
    /// Whether the access log has a line for each request.
    pub access_log: bool,
    /// Whether backend and client are told an id of the request.
    pub request_id: bool,
    /// Which responses are compressed, if any.
    pub compression: Option<CompressionOptions>,
    /// The pages of the proxy's own errors.
    pub error_pages: Vec<(Statuses, PathBuf)>,
    /// That the site is closed for a while.
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
    /// The files that are read when a site begins.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let maintenance = self.maintenance.as_ref();
        let pages = self.error_pages.iter().map(|(_, path)| path);
        pages
            .chain(maintenance.and_then(|maintenance| maintenance.page.as_ref()))
            .map(PathBuf::as_path)
    }
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
    /// Loads the features with their files, which blocks. `None` where all is as by default and a request needs none of them.
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

    /// Whether the access log has a line for each request.
    pub(super) fn is_logged(&self) -> bool {
        self.is_logged
    }

    /// Whether no request is to go through.
    pub(super) fn is_closed(&self) -> bool {
        self.maintenance.is_some()
    }

    /// Begins a request: names it, and silences its log entry where the site keeps none. Returns the coding that the client
    /// prefers for the response.
    pub(super) fn begin(
        &self,
        headers: &HeaderMap,
        context: &mut RequestContext<'_>,
        ids: &RequestIds,
    ) -> Option<Coding> {
        if !self.is_logged
            && let Some(mut entry) = context.entry.take()
        {
            entry.silence();
        }
        if self.has_request_id {
            let told = request_id::from_trusted_peer(headers, context.conn);
            let id = told.unwrap_or_else(|| ids.next());
            if let Some(entry) = &mut context.entry {
                entry.identified(id.clone());
            }
            context.request_id = Some(id);
        }
        let offered = self.compression.as_ref();
        // The end of an HTTP/1.0 body cannot be told from its break.
        offered
            .filter(|_| context.version > Version::HTTP_10)
            .and_then(|offered| compression::choose(headers, &offered.codings))
    }

    /// Makes one of the proxy's own answers the site's.
    pub(super) fn put_page(&self, response: &mut Response<Body>) {
        self.error_pages.put(response);
        if let Some(maintenance) = &self.maintenance {
            maintenance.put(response);
        }
    }

    /// Completes the response: tells the client the request's id, and compresses the body with the `coding` that it prefers.
    pub(super) fn finish(
        &self,
        mut response: Response<Body>,
        coding: Option<Coding>,
        context: &mut RequestContext<'_>,
    ) -> Response<Body> {
        if let Some(id) = context.request_id.take() {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        match &self.compression {
            Some(options) if compression::is_worth_it(options, &response) => {
                compress(response, coding)
            }
            _ => response,
        }
    }
}

fn compress(mut response: Response<Body>, coding: Option<Coding>) -> Response<Body> {
    // The answer to a HEAD has the head of what would be encoded, and nothing to encode.
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
