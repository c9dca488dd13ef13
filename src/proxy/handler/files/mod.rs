//! Static files, with precompressed variants, conditional requests and ranges. A lookup never leaves the folder.

mod conditions_and_ranges;
mod file_lookup;
mod file_path;
mod files;
mod precompressed;

pub use files::Files;
