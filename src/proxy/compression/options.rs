//! Options of compression.

use super::coding::Coding;
use super::media_type::MediaRange;

/// Types that are compressed by default. Other types are rare, or compressed already.
const TYPES: [&str; 12] = [
    "text/*",
    "application/json",
    "application/*+json",
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/*+xml",
    "application/wasm",
    "application/vnd.ms-fontobject",
    "font/otf",
    "font/ttf",
    "image/svg+xml",
];

/// Selects the responses that are compressed, and the codings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressionOptions {
    /// Offered codings. Among those with the client's highest weight, the first wins.
    pub codings: Vec<Coding>,
    /// Media types that are compressed.
    pub types: Vec<MediaRange>,
    /// Minimum size of a compressed body, in bytes. Bodies of unknown length are compressed too.
    pub min_size: usize,
}

impl Default for CompressionOptions {
    fn default() -> Self {
        let range = |text| MediaRange::parse(text).expect("the built-in types are valid");
        Self {
            codings: Coding::ALL.to_vec(),
            types: TYPES.map(range).to_vec(),
            min_size: 1024,
        }
    }
}
