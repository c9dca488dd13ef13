//! The access log: one line for each request, written at the end of its response.

mod counted_stream;
mod entry;
mod escape;
mod format;
mod line_queue;
mod log;
mod options;
mod outcome;
mod request_record;
mod writer;

pub(super) use counted_stream::CountedStream;
pub(super) use entry::LogEntry;
pub use log::{AccessLog, DirectResponse};
pub use options::{AccessLogFormat, AccessLogOptions, AccessLogTarget};
