//! Files of a folder as the answer: found without ever leaving it, in the form and the part that the client asks for.

mod conditions;
mod encoding;
mod file_body;
mod file_path;
mod folder;
mod handler;

pub(super) use file_body::FileBody;
pub use handler::Files;
