//! Framing of a chunked body (RFC 9112 section 7.1).

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::Error;

/// Maximum number of digits of the size of a chunk.
const SIZE_DIGITS: u8 = 16;
/// Maximum number of bytes of the extensions of all chunks together.
const EXTENSION_SIZE: usize = 16 * 1024;
/// Maximum size of the trailers, in bytes.
const TRAILER_SIZE: usize = 16 * 1024;
/// Maximum number of trailers.
const TRAILER_FIELDS: usize = 256;
/// End of a body without trailers, after the data of its last chunk.
const END: &[u8] = b"\r\n0\r\n\r\n";

/// Position in a chunked body.
#[derive(Debug)]
pub(super) struct ChunkDecoder {
    position: Position,
    /// Number of bytes of extensions so far.
    extensions: usize,
    /// Number of bytes that were searched for the end of the trailers in vain.
    searched: usize,
    /// Maximum number of trailers.
    trailer_fields: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// In the size of a chunk, after this number of digits.
    Size {
        digits: u8,
        size: u64,
    },
    /// In the space after the size.
    Space {
        size: u64,
    },
    Extension {
        size: u64,
    },
    /// Before the LF of the line with the size.
    SizeLf {
        size: u64,
    },
    /// In the data of a chunk, before this number of bytes.
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    Trailers,
    Over,
}

/// Next part of a body.
#[derive(Debug)]
pub(super) enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
    /// The body has ended.
    End,
    /// More bytes must arrive first.
    Missing,
}

impl ChunkDecoder {
    pub(super) fn new() -> Self {
        Self::with_trailer_fields(TRAILER_FIELDS)
    }

    /// A decoder of a body with at most this number of trailers.
    pub(super) fn with_trailer_fields(trailer_fields: usize) -> Self {
        Self {
            position: Position::START,
            extensions: 0,
            searched: 0,
            trailer_fields,
        }
    }

    /// `true` after the end of the body.
    pub(super) fn is_over(&self) -> bool {
        self.position == Position::Over
    }

    /// Takes the next part from the front of `received`.
    pub(super) fn decode(&mut self, received: &mut BytesMut) -> Result<Part, Error> {
        self.skip_framing(received)?;
        match self.position {
            Position::Data { left } if !received.is_empty() => {
                let taken = received
                    .len()
                    .min(usize::try_from(left).unwrap_or(usize::MAX));
                let data = received.split_to(taken).freeze();
                self.position = match left - taken as u64 {
                    0 => Position::DataCr,
                    left => Position::Data { left },
                };
                if self.position == Position::DataCr && received.starts_with(END) {
                    received.advance(END.len());
                    self.position = Position::Over;
                }
                Ok(Part::Data(data))
            }
            Position::Trailers => self.take_trailers(received),
            Position::Over => Ok(Part::End),
            _ => Ok(Part::Missing),
        }
    }

    /// Skips bytes up to the next data or the trailers.
    fn skip_framing(&mut self, received: &mut BytesMut) -> Result<(), Error> {
        let mut read = 0;
        while !matches!(
            self.position,
            Position::Data { .. } | Position::Trailers | Position::Over
        ) && let Some(byte) = received.get(read)
        {
            self.position = self.position.after(*byte)?;
            if matches!(self.position, Position::Extension { .. }) {
                self.extensions += 1;
                if self.extensions > EXTENSION_SIZE {
                    return Err(Error::ExtensionsTooLarge);
                }
            }
            read += 1;
        }
        received.advance(read);
        Ok(())
    }

    /// Takes the trailers and the empty line after them.
    fn take_trailers(&mut self, received: &mut BytesMut) -> Result<Part, Error> {
        if received.starts_with(b"\r\n") {
            received.advance(2);
            self.position = Position::Over;
            return Ok(Part::End);
        }
        let start = self.searched.saturating_sub(3);
        let mut windows = received[start..].windows(4);
        let Some(end) = windows.position(|bytes| bytes == b"\r\n\r\n") else {
            self.searched = received.len();
            return if received.len() < TRAILER_SIZE {
                Ok(Part::Missing)
            } else {
                Err(Error::TrailersTooLarge)
            };
        };
        let section = received.split_to(start + end + 4);
        if section.len() >= TRAILER_SIZE {
            return Err(Error::TrailersTooLarge);
        }
        let trailers = parse_trailers(&section)?;
        if trailers.len() > self.trailer_fields {
            return Err(Error::TrailersTooLarge);
        }
        self.position = Position::Over;
        Ok(Part::Trailers(trailers))
    }
}

impl Position {
    const START: Self = Self::Size { digits: 0, size: 0 };

    /// Position after another byte of framing.
    fn after(self, byte: u8) -> Result<Self, Error> {
        match (self, byte) {
            (Self::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == SIZE_DIGITS {
                    return Err(Error::Chunk);
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Ok(Self::Size {
                    digits: digits + 1,
                    size: size << 4 | u64::from(digit),
                })
            }
            (Self::Size { digits: 0, .. }, _) => Err(Error::Chunk),
            (Self::Size { size, .. } | Self::Space { size }, b' ' | b'\t') => {
                Ok(Self::Space { size })
            }
            (Self::Size { size, .. } | Self::Space { size }, b';') => Ok(Self::Extension { size }),
            (Self::Size { size, .. } | Self::Space { size } | Self::Extension { size }, b'\r') => {
                Ok(Self::SizeLf { size })
            }
            (Self::Extension { .. }, b'\n') => Err(Error::Chunk),
            (Self::Extension { size }, _) => Ok(Self::Extension { size }),
            (Self::SizeLf { size: 0 }, b'\n') => Ok(Self::Trailers),
            (Self::SizeLf { size }, b'\n') => Ok(Self::Data { left: size }),
            (Self::DataCr, b'\r') => Ok(Self::DataLf),
            (Self::DataLf, b'\n') => Ok(Self::START),
            _ => Err(Error::Chunk),
        }
    }
}

/// Parses trailers that end with an empty line. Each line must end with CRLF, and none may be folded.
fn parse_trailers(section: &[u8]) -> Result<HeaderMap, Error> {
    let text = &section[..section.len() - 2];
    let is_bare = |line: &[u8]| match line.split_last() {
        Some((b'\r', line)) => line.contains(&b'\r'),
        _ => true,
    };
    let mut lines = text[..text.len() - 1].split(|byte| *byte == b'\n');
    if lines.any(is_bare) {
        return Err(Error::Trailers);
    }
    let mut fields = [httparse::EMPTY_HEADER; TRAILER_FIELDS];
    let fields = match httparse::parse_headers(section, &mut fields) {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        Err(httparse::Error::TooManyHeaders) => return Err(Error::TrailersTooLarge),
        _ => return Err(Error::Trailers),
    };
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Error::Trailers)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| Error::Trailers)?;
        trailers.append(name, value);
    }
    Ok(trailers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Decoded {
        data: Vec<u8>,
        trailers: Option<HeaderMap>,
        is_over: bool,
        rest: Vec<u8>,
    }

    /// Decodes a body that arrives in these pieces.
    fn decode(pieces: &[&[u8]]) -> Result<Decoded, Error> {
        let (mut decoder, mut received) = (ChunkDecoder::new(), BytesMut::new());
        let mut decoded = Decoded::default();
        for piece in pieces {
            received.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut received)? {
                    Part::Data(data) => decoded.data.extend_from_slice(&data),
                    Part::Trailers(trailers) => decoded.trailers = Some(trailers),
                    Part::End | Part::Missing => break,
                }
            }
        }
        decoded.is_over = decoder.is_over();
        decoded.rest = received.to_vec();
        Ok(decoded)
    }

    #[test]
    fn a_body_is_the_same_wherever_it_is_cut() {
        for (body, data, fields) in [
            ("3\r\none\r\n0\r\n\r\n", "one", 0),
            (
                "3;a=b\r\none\r\nA \t\r\n0123456789\r\n000\r\n\r\n",
                "one0123456789",
                0,
            ),
            ("1 ;x\r\na\r\n0\r\nx-sum: 1\r\nX-Sum:2\r\n\r\n", "a", 2),
            ("0;last\r\nx:\r\n\r\n", "", 1),
        ] {
            let bytes = [body.as_bytes(), b"rest"].concat();
            let whole = decode(&[&bytes]).unwrap();
            assert_eq!(whole.data, data.as_bytes());
            assert_eq!(whole.trailers.as_ref().map_or(0, HeaderMap::len), fields);
            assert!(whole.is_over && whole.rest == b"rest");
            for cut in 0..bytes.len() {
                let (first, second) = bytes.split_at(cut);
                assert_eq!(decode(&[first, second]).unwrap(), whole, "{body:?} {cut}");
            }
            let single: Vec<_> = bytes.chunks(1).collect();
            assert_eq!(decode(&single).unwrap(), whole);
            for cut in 0..body.len() {
                let cut = decode(&[&body.as_bytes()[..cut]]).unwrap();
                assert!(!cut.is_over, "{body:?}");
            }
        }
    }

    #[test]
    fn framing_that_is_not_valid_is_refused() {
        for body in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            ";\r\n",
            "1 1\r\n",
            "1\n",
            "1\r\r\n",
            "1;a\nb\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1\r\na\r0",
            "00000000000000001\r\n",
            "10000000000000000\r\n",
            "0\r\nx y: 1\r\n\r\n",
            "0\r\n: 1\r\n\r\n",
            "0\r\nx: 1\ny: 2\r\n\r\n",
            "0\r\nx: 1\r y: 2\r\n\r\n",
            "0\r\nx: 1\r\n y\r\n\r\n",
            "0\r\nx : 1\r\n\r\n",
            "0\r\nx: \0\r\n\r\n",
        ] {
            assert!(decode(&[body.as_bytes()]).is_err(), "{body:?}");
        }
    }

    #[test]
    fn sizes_may_have_sixteen_digits() {
        let decoded = decode(&[b"0000000000000001\r\na\r\n0\r\n\r\n"]).unwrap();
        assert_eq!(decoded.data, b"a");
        let decoded = decode(&[b"ffffffffffffffff\r\na"]).unwrap();
        assert!(!decoded.is_over && decoded.data == b"a");
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extended = |size: usize| format!("1;{}\r\na\r\n", "x".repeat(size));
        assert!(decode(&[extended(EXTENSION_SIZE - 1).as_bytes()]).is_ok());
        let refused = decode(&[extended(EXTENSION_SIZE).as_bytes()]);
        assert!(matches!(refused, Err(Error::ExtensionsTooLarge)));
        let many = extended(1000).repeat(17);
        assert!(matches!(
            decode(&[many.as_bytes()]),
            Err(Error::ExtensionsTooLarge)
        ));

        let large = format!("0\r\nx: {}", "y".repeat(TRAILER_SIZE));
        assert!(matches!(
            decode(&[large.as_bytes()]),
            Err(Error::TrailersTooLarge)
        ));
        for (count, is_allowed) in [(TRAILER_FIELDS, true), (TRAILER_FIELDS + 1, false)] {
            let body = format!("0\r\n{}\r\n", "x: y\r\n".repeat(count));
            assert_eq!(decode(&[body.as_bytes()]).is_ok(), is_allowed, "{count}");
        }
    }
}
