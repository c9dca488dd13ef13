//! Request bodies on their way to a backend, with trailers, interim responses and time-outs.

mod buffered_body;
mod client_body;
mod expect_continue;
mod field_names;
mod interim;
mod interim_listener;
mod progress_timeout;
mod request_body;
mod request_buffer;
mod trailers;
mod upload_progress;

pub use buffered_body::BufferedBody;
pub use client_body::{BoxedBody, ClientBody, Http1Body, StreamBody};
pub use expect_continue::ExpectContinue;
pub use field_names::{
    is_client_field, never_passes, remove_all_spellings, remove_other_spellings, remove_unpassable,
};
pub use interim::Interims;
pub use interim_listener::listen_for_interims;
pub use progress_timeout::ProgressTimeout;
pub use request_body::RequestBody;

pub(super) use interim_listener::InterimListener;
pub(super) use request_body::UploadGuard;
pub(super) use request_buffer::read_whole;
pub(super) use trailers::clean_trailers;
pub(super) use upload_progress::{ResponseUnderWay, UploadFailure, UploadProgress};
