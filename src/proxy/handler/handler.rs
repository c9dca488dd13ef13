//! The closed set of handlers.

use std::sync::Arc;

use super::fixed_response::FixedResponse;
use super::redirect::Redirect;
use crate::proxy::handler::files::Files;
use crate::upstream::Upstream;

/// Handler that responds to the requests of a route.
#[derive(Clone, Debug)]
pub enum Handler {
    /// Forwards the request to a backend.
    Upstream(Arc<Upstream>),
    /// Redirects the client to another URL.
    Redirect(Redirect),
    /// Sends every client the same response.
    Respond(FixedResponse),
    /// Sends the files of a folder.
    Files(Files),
}
