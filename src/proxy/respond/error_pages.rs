//! A site's own error pages, which replace the proxy's short ones. Read once, when the site is loaded.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use crate::proxy::body::Body;

/// Error of a page that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the page {} cannot be read: {source}; name a readable file", path.display())]
pub struct PageError {
    /// Path of the file.
    pub path: PathBuf,
    /// Error of the operating system.
    pub source: io::Error,
}

/// Statuses that a page is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// One status, such as 502.
    One(StatusCode),
    /// All statuses that begin with this digit.
    Class(u16),
}

impl Statuses {
    /// Parses `502`, `4xx` or `5xx`. `None` for statuses that are not errors.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "4xx" => Some(Self::Class(4)),
            "5xx" => Some(Self::Class(5)),
            text => {
                let status = StatusCode::from_bytes(text.as_bytes()).ok()?;
                let is_error = status.is_client_error() || status.is_server_error();
                is_error.then_some(Self::One(status))
            }
        }
    }

    fn includes(self, status: StatusCode) -> bool {
        match self {
            Self::One(one) => one == status,
            Self::Class(class) => class == status.as_u16() / 100,
        }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(status) => f.write_str(status.as_str()),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

/// A site's page, held in memory.
#[derive(Clone, Debug)]
pub(crate) struct SitePage {
    text: Bytes,
    content_type: HeaderValue,
}

impl SitePage {
    pub(crate) fn read(path: &Path) -> Result<Self, PageError> {
        let text = std::fs::read(path).map_err(|source| PageError {
            path: path.to_owned(),
            source,
        })?;
        let extension = path.extension().and_then(|extension| extension.to_str());
        Ok(Self {
            text: text.into(),
            content_type: HeaderValue::from_static(match extension {
                Some("json") => "application/json",
                Some("txt") => "text/plain; charset=utf-8",
                Some("xml") => "application/xml",
                _ => "text/html; charset=utf-8",
            }),
        })
    }

    pub(crate) fn put(&self, response: &mut Response<Body>) {
        let content_type = self.content_type.clone();
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        *response.body_mut() = Body::full(self.text.clone());
    }
}

/// The error pages of a site.
#[derive(Debug)]
pub(crate) struct ErrorPages(Vec<(Statuses, SitePage)>);

impl ErrorPages {
    pub(crate) fn read(files: &[(Statuses, PathBuf)]) -> Result<Self, PageError> {
        let pages = files
            .iter()
            .map(|(statuses, path)| Ok((*statuses, SitePage::read(path)?)));
        pages.collect::<Result<_, _>>().map(Self)
    }

    /// Replaces the body of an error response with the page for its status. A page for one status precedes one for a
    /// class.
    pub(crate) fn put(&self, response: &mut Response<Body>) {
        let status = response.status();
        let exact = || {
            self.0
                .iter()
                .find(|(statuses, _)| *statuses == Statuses::One(status))
        };
        let class = || {
            self.0
                .iter()
                .find(|(statuses, _)| statuses.includes(status))
        };
        if let Some((_, page)) = exact().or_else(class) {
            page.put(response);
        }
    }
}
