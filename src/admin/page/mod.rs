//! The status page: a document, the figures that it shows over server-sent events, and renewals on request. Knows how to open
//! no socket.

mod event_stream;
mod login_attempts;
mod page_access;
mod page_documents;
mod page_headers;
mod page_options;
mod page_request;
mod page_rows;
mod page_server;
mod page_view;
mod recent_events;
mod recorder;
mod refusal_history;
mod traffic_history;

pub use page_options::PageOptions;
pub use page_server::PageServer;
pub use recorder::Recorder;
