//! The closed set of what answers the requests of a route.

use std::sync::Arc;

use super::fixed_response::FixedResponse;
use super::redirect::Redirect;
use crate::proxy::handler::files::Files;
use crate::upstream::Upstream;

/// Who answers a request.
#[derive(Clone, Debug)]
pub enum Handler {
    /// A backend.
    Upstream(Arc<Upstream>),
    /// Another URL.
    Redirect(Redirect),
    /// The same answer for everyone.
    Respond(FixedResponse),
    /// A folder.
    Files(Files),
}
