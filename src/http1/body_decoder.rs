//! Body of a response, as its framing says.

use bytes::BytesMut;
use http_body::SizeHint;

use super::chunk_decoder::{ChunkDecoder, Part};
use super::error::Error;
use super::response_head::ResponseFraming;

/// Position in the body of a response.
#[derive(Debug)]
pub(super) enum BodyDecoder {
    /// Before this number of bytes.
    Length(u64),
    Chunked(ChunkDecoder),
    /// Before the end of the connection.
    UntilClose,
}

impl BodyDecoder {
    pub(super) fn new(framing: ResponseFraming) -> Self {
        match framing {
            ResponseFraming::Length(length) => Self::Length(length),
            ResponseFraming::Chunked => Self::Chunked(ChunkDecoder::new()),
            ResponseFraming::UntilClose => Self::UntilClose,
        }
    }

    /// Takes the next part from the front of `received`.
    pub(super) fn decode(&mut self, received: &mut BytesMut) -> Result<Part, Error> {
        match self {
            Self::Length(0) => Ok(Part::End),
            Self::Chunked(decoder) => decoder.decode(received),
            Self::Length(_) | Self::UntilClose if received.is_empty() => Ok(Part::Missing),
            Self::Length(left) => {
                let taken = received
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                Ok(Part::Data(received.split_to(taken).freeze()))
            }
            Self::UntilClose => Ok(Part::Data(received.split().freeze())),
        }
    }

    /// `true` after the last part.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(decoder) => decoder.is_over(),
            Self::UntilClose => false,
        }
    }

    /// Ends the body because the connection has ended. Fails if the body is not complete.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        if matches!(self, Self::UntilClose) {
            *self = Self::Length(0);
        }
        self.is_over().then_some(()).ok_or(Error::CutBody)
    }

    /// Number of bytes that are still to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Chunked(decoder) if decoder.is_over() => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::UntilClose => SizeHint::default(),
        }
    }
}
