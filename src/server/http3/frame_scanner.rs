//! Follows the frames of one stream while their bytes pass by, and bounds what the HTTP/3 library would gather in memory: it reads
//! each frame to its end before it looks at its size, except for DATA.

/// Type of the frames that carry bodies (RFC 9114 section 7.2.1). Their payload is not gathered.
const DATA: u64 = 0x00;
/// Type of the client's control stream (RFC 9114 section 6.2.1).
const CONTROL: u64 = 0x00;
/// Largest frame on a control stream. SETTINGS is the largest one that has a meaning.
const MOST_CONTROL_FRAME: u64 = 4 * 1024;
/// Most frames of a control stream. Clients send one, and seldom a few more.
const MOST_CONTROL_FRAMES: u32 = 1000;
/// Most frames of a request other than DATA with a payload. A request has at most two that have a meaning.
const MOST_FRAMES: u32 = 100;

/// Limits that a client has exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameLimit {
    /// A frame other than DATA is too large.
    #[error("the client sent a frame that is too large")]
    TooLarge,
    /// There are too many frames that say nothing.
    #[error("the client sent too many frames that carry nothing")]
    TooMany,
}

/// The frames of one stream.
#[derive(Debug)]
pub(super) struct FrameScanner {
    state: State,
    integer: Integer,
    most_size: u64,
    most_frames: u32,
    frames: u32,
    /// Bytes of the current frame that the library has gathered.
    gathered: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The type of a unidirectional stream comes.
    StreamType,
    /// The type of a frame comes.
    Type,
    /// The length of a frame comes, which has this type.
    Length(u64),
    /// So many bytes of a frame come.
    Payload { is_data: bool, left: u64 },
    /// The library does not read the stream as frames.
    Ignored,
}

/// A variable-length integer that may come in pieces (RFC 9000 section 16).
#[derive(Clone, Copy, Debug, Default)]
struct Integer {
    value: u64,
    /// Bytes that are missing, once the first one has come.
    missing: Option<u8>,
}

impl Integer {
    /// Takes the next byte. Returns the value with the last one.
    fn push(&mut self, byte: u8) -> Option<u64> {
        let missing = match self.missing {
            None => {
                self.value = u64::from(byte & 0x3f);
                (1 << (byte >> 6)) - 1
            }
            Some(missing) => {
                self.value = self.value << 8 | u64::from(byte);
                missing - 1
            }
        };
        self.missing = (missing > 0).then_some(missing);
        (missing == 0).then_some(self.value)
    }
}

impl FrameScanner {
    /// The frames of a request, whose head may have `most_size` bytes.
    pub(super) fn of_request(most_size: u64) -> Self {
        Self::new(State::Type, most_size, MOST_FRAMES)
    }

    /// The frames of a unidirectional stream, whose type comes first.
    pub(super) fn of_unidirectional() -> Self {
        Self::new(State::StreamType, MOST_CONTROL_FRAME, MOST_CONTROL_FRAMES)
    }

    fn new(state: State, most_size: u64, most_frames: u32) -> Self {
        Self {
            state,
            integer: Integer::default(),
            most_size,
            most_frames,
            frames: 0,
            gathered: 0,
        }
    }

    /// Follows the next bytes of the stream.
    pub(super) fn scan(&mut self, mut bytes: &[u8]) -> Result<(), FrameLimit> {
        while let Some(byte) = bytes.first() {
            let taken = match &mut self.state {
                State::Ignored => return Ok(()),
                State::Payload { left, is_data } => {
                    let there = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    let taken = there.min(*left);
                    *left -= taken;
                    let taken = usize::try_from(taken).unwrap_or(bytes.len());
                    if !*is_data {
                        self.gathered += taken;
                    }
                    taken
                }
                State::StreamType | State::Type | State::Length(_) => {
                    self.gathered += 1;
                    if let Some(value) = self.integer.push(*byte) {
                        self.advance(value)?;
                    }
                    1
                }
            };
            if let State::Payload { left: 0, .. } = self.state {
                self.state = State::Type;
                self.gathered = 0;
            }
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Bytes that the library has gathered for a frame that is not complete.
    pub(super) fn gathered(&self) -> usize {
        self.gathered
    }

    /// Takes the next integer of the frames' structure.
    fn advance(&mut self, value: u64) -> Result<(), FrameLimit> {
        self.state = match self.state {
            State::StreamType if value == CONTROL => State::Type,
            State::StreamType => State::Ignored,
            State::Type => State::Length(value),
            State::Length(kind) => {
                let is_data = kind == DATA && self.most_frames == MOST_FRAMES;
                if !is_data && value > self.most_size {
                    return Err(FrameLimit::TooLarge);
                }
                if !is_data || value == 0 {
                    self.frames += 1;
                }
                if self.frames > self.most_frames {
                    return Err(FrameLimit::TooMany);
                }
                if is_data {
                    self.gathered = 0;
                }
                State::Payload {
                    is_data,
                    left: value,
                }
            }
            other => other,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: u64 = 0x01;

    fn integer(value: u64) -> Vec<u8> {
        match value {
            0..64 => vec![u8::try_from(value).unwrap()],
            64..16_384 => (u16::try_from(value).unwrap() | 0x4000)
                .to_be_bytes()
                .to_vec(),
            _ => (u32::try_from(value).unwrap() | 0x8000_0000)
                .to_be_bytes()
                .to_vec(),
        }
    }

    fn frame(kind: u64, payload: usize) -> Vec<u8> {
        let length = u64::try_from(payload).unwrap();
        [integer(kind), integer(length), vec![7; payload]].concat()
    }

    /// Scans these bytes in pieces of `size`.
    fn scan(mut scanner: FrameScanner, bytes: &[u8], size: usize) -> Result<usize, FrameLimit> {
        for piece in bytes.chunks(size) {
            scanner.scan(piece)?;
        }
        Ok(scanner.gathered())
    }

    #[test]
    fn heads_within_the_limit_and_bodies_of_any_size_pass_however_they_are_divided() {
        let request = [
            frame(HEADERS, 900),
            frame(DATA, 70_000),
            frame(0x21, 10),
            frame(DATA, 5),
            frame(HEADERS, 100),
        ]
        .concat();
        for size in [1, 2, 3, 7, 1000, request.len()] {
            let scanned = scan(FrameScanner::of_request(1000), &request, size);
            assert_eq!(scanned, Ok(0), "{size}");
        }
    }

    #[test]
    fn a_frame_is_refused_by_its_length_alone() {
        for kind in [HEADERS, 0x21, 0x7fff] {
            let begin = [integer(kind), integer(1001)].concat();
            for size in [1, begin.len()] {
                let scanned = scan(FrameScanner::of_request(1000), &begin, size);
                assert_eq!(scanned, Err(FrameLimit::TooLarge), "{kind}");
            }
        }
    }

    #[test]
    fn what_is_gathered_of_an_incomplete_head_is_known() {
        let head = frame(HEADERS, 900);
        let scanned = scan(FrameScanner::of_request(1000), &head[..500], 100);
        assert_eq!(scanned, Ok(500));
        let begin = [head, frame(DATA, 100)[..50].to_vec()].concat();
        assert_eq!(scan(FrameScanner::of_request(1000), &begin, 100), Ok(0));
    }

    #[test]
    fn frames_that_carry_nothing_are_bounded() {
        for kind in [DATA, 0x21] {
            let flood = frame(kind, 0).repeat(101);
            let scanned = scan(FrameScanner::of_request(1000), &flood, 64);
            assert_eq!(scanned, Err(FrameLimit::TooMany), "{kind}");
        }
        let body = frame(DATA, 1).repeat(10_000);
        assert_eq!(scan(FrameScanner::of_request(1000), &body, 64), Ok(0));
        let control = [integer(CONTROL), frame(0x0d, 1).repeat(1001)].concat();
        let scanned = scan(FrameScanner::of_unidirectional(), &control, 64);
        assert_eq!(scanned, Err(FrameLimit::TooMany));
    }

    #[test]
    fn a_control_stream_has_small_frames_and_other_streams_are_not_read_as_frames() {
        let settings = [integer(CONTROL), integer(0x04), integer(5000)].concat();
        let scanned = scan(FrameScanner::of_unidirectional(), &settings, 1);
        assert_eq!(scanned, Err(FrameLimit::TooLarge));
        let encoder = [integer(0x02), vec![0xff; 100_000]].concat();
        assert!(scan(FrameScanner::of_unidirectional(), &encoder, 64).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_scanned_without_a_panic(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400),
            size in 1_usize..50,
        ) {
            let _ = scan(FrameScanner::of_request(100), &bytes, size);
            let _ = scan(FrameScanner::of_unidirectional(), &bytes, size);
        }
    }
}
