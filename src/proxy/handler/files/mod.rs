//! Static files, with precompressed variants, conditional requests and ranges. A lookup never leaves the folder.

mod conditions_and_ranges;
mod encoding;
mod file_path;
mod files;
mod folder;

pub use files::Files;
