//! One line for each request, written at the end of its response.

mod counted;
mod entry;
mod escape;
mod format;
mod lane;
mod log;
mod options;
mod outcome;
mod request_record;
mod writer;

pub(super) use counted::Counted;
pub(super) use entry::LogEntry;
pub use log::{AccessLog, DirectResponse};
pub use options::{AccessLogFormat, AccessLogOptions, AccessLogTarget};
