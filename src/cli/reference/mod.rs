//! Commands that describe the program itself: completions of shells, manual pages, the schema of a Proxyfile, the build.

mod completions;
mod man_pages;
mod schema;
mod version;

pub(super) use completions::Completions;
pub(super) use man_pages::ManPages;
pub(super) use schema::write_schema;
pub(super) use version::{VersionFlags, write_version};
