//! The proxy's own responses: short pages for errors, and those that a site has instead.

mod error_pages;
pub(super) mod refusal_page;

pub(super) use error_pages::{ErrorPages, Maintenance};
pub use error_pages::{MaintenanceOptions, PageError, Statuses};
