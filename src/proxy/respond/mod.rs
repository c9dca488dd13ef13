//! The proxy's own responses: short pages for errors, a site's pages instead of them, and the last steps of every
//! response.

mod error_pages;
mod error_response;
pub(super) mod finish_response;
mod maintenance;

pub(super) use error_pages::ErrorPages;
pub use error_pages::{PageError, Statuses};
pub(super) use error_response::{RefusedRequest, refusal};
pub(super) use maintenance::Maintenance;
pub use maintenance::MaintenanceOptions;
