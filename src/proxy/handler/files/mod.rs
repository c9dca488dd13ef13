//! Static files: found without ever leaving their folder, in the coding and the range that the client asks for.

mod conditions;
mod encoding;
mod file_path;
mod files;
mod folder;

pub use files::Files;
