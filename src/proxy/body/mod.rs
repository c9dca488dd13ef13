//! The body of a response on its way to the client.

mod body;
mod file_body;

pub use body::Body;
pub(super) use file_body::FileBody;
