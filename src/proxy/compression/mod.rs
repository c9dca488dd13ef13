//! Compression of responses on their way to the client.

mod accept;
mod coding;
mod entity_tags;
mod media_type;
mod options;
mod rules;
mod stream;

pub use coding::Coding;
pub use media_type::{MediaRange, MediaRangeError};
pub use options::CompressionOptions;

pub(super) use accept::choose;
pub(super) use coding::Encoder;
pub(super) use entity_tags::{restore, set_not_modified_head};
pub(super) use rules::{is_compressible, set_head};
pub(super) use stream::Compressed;
