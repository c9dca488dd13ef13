//! The proxy's own responses: short pages for errors, a site's pages instead of them, and the last steps of every
//! response.

mod error_pages;
pub(super) mod last_steps;
mod maintenance;
mod refusal_page;

pub(super) use error_pages::ErrorPages;
pub use error_pages::{PageError, Statuses};
pub(super) use maintenance::Maintenance;
pub use maintenance::MaintenanceOptions;
pub(super) use refusal_page::refusal;
