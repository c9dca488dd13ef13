//! What is compressed, and how.

use super::coding::Coding;
use super::media_type::MediaRange;

/// Types that get smaller and that browsers ask for; what is not among them is packed already or rare.
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

/// What is compressed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressionOptions {
    /// The codings that are offered; the first wins between those that a client likes as much.
    pub codings: Vec<Coding>,
    /// The types of content that are compressed.
    pub types: Vec<MediaRange>,
    /// Bytes from which on it is worth the while. Bodies of unknown length are.
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
