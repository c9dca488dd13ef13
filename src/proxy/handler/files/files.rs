//! The handler that responds with the files of a folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headers::{AcceptRanges, ContentRange, HeaderMapExt};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, VARY};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tokio::task::spawn_blocking;

use super::conditions_and_ranges::{Selection, Validators};
use super::file_lookup::{Folder, Lookup, OpenFile};
use super::file_path::FilePath;
use super::precompressed::Encoding;
use crate::proxy::body::{Body, FileBody};
use crate::proxy::error::Error;

/// Responds with the files of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files(Arc<Folder>);

impl Files {
    /// Serves the files below `root`. Paths without a file get the file `fallback`, a path relative to `root`.
    #[must_use]
    pub fn new(root: PathBuf, fallback: Option<String>) -> Self {
        Self(Arc::new(Folder { root, fallback }))
    }

    /// Folder with the files.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// File that paths without a file get, relative to the root.
    #[must_use]
    pub fn fallback(&self) -> Option<&str> {
        self.0.fallback.as_deref()
    }

    /// Responds to a request. `target` names the file; `requested` is the target before the route's rewrite, which
    /// redirects lead to.
    pub(crate) async fn answer<B>(
        &self,
        request: &Request<B>,
        target: &PathAndQuery,
        requested: &PathAndQuery,
    ) -> Result<Response<Body>, Error> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Error::FileMethod);
        }
        let path = FilePath::parse(target.path()).ok_or(Error::NoFile)?;
        let (folder, encodings) = (Arc::clone(&self.0), Encoding::accepted(request.headers()));
        let found = spawn_blocking(move || folder.look_up(&path, &encodings)).await;
        match found.map_err(io::Error::other).flatten() {
            Ok(Lookup::File(file)) => Ok(respond(file, request)),
            Ok(Lookup::Folder) => redirect_into_folder(requested),
            Ok(Lookup::Nothing) => Err(Error::NoFile),
            Err(error) => Err(Error::File(error)),
        }
    }
}

/// Redirects to the path with a slash at its end, so that relative links in the folder's index work.
fn redirect_into_folder(requested: &PathAndQuery) -> Result<Response<Body>, Error> {
    let query = requested.query().map(|query| format!("?{query}"));
    let location = format!("{}/{}", requested.path(), query.unwrap_or_default());
    let location = HeaderValue::try_from(location).map_err(|_| Error::Target)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

fn respond<B>(found: OpenFile, request: &Request<B>) -> Response<Body> {
    let validators = Validators::of(&found);
    let selection = validators.evaluate(request.headers(), found.len);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status(&selection);
    let headers = response.headers_mut();
    if let Some(etag) = validators.etag {
        headers.typed_insert(etag);
    }
    if let Some(modified) = validators.modified {
        headers.typed_insert(modified);
    }
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    let part = match selection {
        Selection::Whole => 0..found.len,
        Selection::Part(part) => {
            let range = ContentRange::bytes(part.clone(), found.len);
            headers.typed_insert(range.expect("the part lies within the file"));
            part
        }
        Selection::Unsatisfiable => {
            headers.typed_insert(ContentRange::unsatisfied_bytes(found.len));
            return response;
        }
        Selection::NotModified | Selection::PreconditionFailed => return response,
    };
    headers.typed_insert(AcceptRanges::bytes());
    headers.insert(CONTENT_TYPE, content_type(&found.name));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    if let Some(encoding) = found.encoding {
        headers.insert(CONTENT_ENCODING, encoding.value());
    }
    if *request.method() == Method::GET {
        *response.body_mut() = Body::file(FileBody::new(found.file, part));
    }
    response
}

fn status(selection: &Selection) -> StatusCode {
    match selection {
        Selection::Whole => StatusCode::OK,
        Selection::Part(_) => StatusCode::PARTIAL_CONTENT,
        Selection::NotModified => StatusCode::NOT_MODIFIED,
        Selection::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Selection::Unsatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
    }
}

/// Guesses the content type from a file's name. Text is declared as UTF-8.
fn content_type(name: &str) -> HeaderValue {
    let guess = mime_guess::from_path(name);
    match guess.first_raw() {
        None => HeaderValue::from_static("application/octet-stream"),
        Some(kind) if kind.starts_with("text/") => {
            HeaderValue::try_from(format!("{kind}; charset=utf-8"))
                .expect("a media type is visible ASCII")
        }
        Some(kind) => HeaderValue::from_static(kind),
    }
}
