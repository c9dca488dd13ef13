//! The access log: one line for each request, written at the end of its response, and the span of each request that is traced.

mod counted_stream;
mod entry;
mod escape;
mod format;
mod line_queue;
mod log;
mod options;
mod outcome;
mod request_record;
mod server_span;
mod writer;

pub(super) use counted_stream::CountedStream;
pub(super) use entry::LogEntry;
pub use log::AccessLog;
pub use options::{AccessLogFormat, AccessLogOptions, AccessLogTarget};
pub(super) use server_span::ServerSpan;
