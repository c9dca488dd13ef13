//! One line for each request, written at the end of its response.

mod counted;
mod entry;
mod escape;
mod format;
mod log;
mod options;
mod writer;

pub use log::AccessLog;
pub use options::{AccessLogFormat, AccessLogOptions, AccessLogTarget};

pub(super) use counted::Counted;
pub(super) use entry::Entry;
