//! Pages that a site has instead of the proxy's own short answers, read once.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use crate::proxy::body::Body;

/// A page that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the page {} cannot be read: {source}; name a readable file", path.display())]
pub struct PageError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// The statuses that a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// One, such as 502.
    One(StatusCode),
    /// All errors that begin with this digit.
    Class(u16),
}

impl Statuses {
    /// Parses `502`, `4xx` or `5xx`; only errors have pages.
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

    fn has(self, status: StatusCode) -> bool {
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

/// A page in memory.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct SitePage {
    text: Bytes,
    content_type: HeaderValue,
}

impl SitePage {
    pub(in crate::proxy) fn read(path: &Path) -> Result<Self, PageError> {
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

    pub(in crate::proxy) fn put(&self, response: &mut Response<Body>) {
        let content_type = self.content_type.clone();
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        *response.body_mut() = Body::full(self.text.clone());
    }
}

/// The pages of a site's errors.
#[derive(Debug)]
pub(in crate::proxy) struct ErrorPages(Vec<(Statuses, SitePage)>);

impl ErrorPages {
    pub(in crate::proxy) fn read(files: &[(Statuses, PathBuf)]) -> Result<Self, PageError> {
        let pages = files
            .iter()
            .map(|(statuses, path)| Ok((*statuses, SitePage::read(path)?)));
        pages.collect::<Result<_, _>>().map(Self)
    }

    /// Puts the page of its status into one of the proxy's own answers; that of one status goes before that of many.
    pub(in crate::proxy) fn put(&self, response: &mut Response<Body>) {
        let status = response.status();
        let of = |wanted: Statuses| self.0.iter().find(|(statuses, _)| *statuses == wanted);
        let fitting = || self.0.iter().find(|(statuses, _)| statuses.has(status));
        if let Some((_, page)) = of(Statuses::One(status)).or_else(fitting) {
            page.put(response);
        }
    }
}
