//! The ends of WebSocket frames in a stream of bytes (RFC 6455 section 5.2). Looks at nothing but their heads.

/// Largest head: two bytes, eight of length, four of mask.
const MOST_HEAD: usize = 14;
/// Opcode of the close frame.
const CLOSE: u8 = 0x8;

/// Position within the frames that one side sends.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; MOST_HEAD],
    /// Bytes of the head that have come.
    head_len: u8,
    /// Bytes of the payload that have not come yet.
    payload: u64,
    has_closed: bool,
}

impl Frames {
    /// `true` before the first byte of a frame.
    pub(super) fn is_between(&self) -> bool {
        self.head_len == 0 && self.payload == 0
    }

    /// `true` once the side has sent a close frame.
    pub(super) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Follows all of `bytes`.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.advance_to_end(bytes)..];
        }
    }

    /// Follows `bytes` to the end of the frame that they begin with or continue. Returns the number of bytes up to there,
    /// which is at least one.
    pub(super) fn advance_to_end(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        if self.payload == 0 {
            for byte in bytes {
                self.head[usize::from(self.head_len)] = *byte;
                self.head_len += 1;
                taken += 1;
                if self.head_len >= 2 && usize::from(self.head_len) == self.whole_head() {
                    self.end_head();
                    break;
                }
            }
        }
        let rest = bytes.len() - taken;
        let payload = usize::try_from(self.payload).map_or(rest, |payload| payload.min(rest));
        self.payload -= payload as u64;
        taken + payload
    }

    /// Length of the head whose first two bytes have come.
    fn whole_head(&self) -> usize {
        let length = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    fn end_head(&mut self) {
        self.payload = match self.head[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            127 => self.head[2..10]
                .iter()
                .fold(0, |length, byte| length << 8 | u64::from(*byte)),
            short => u64::from(short),
        };
        self.has_closed |= self.head[0] & 0x0f == CLOSE;
        self.head_len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a head of each form.
    fn frame(opcode: u8, length: usize, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match length {
            0..=125 => frame.push(mask | length.to_le_bytes()[0]),
            126..=65_535 => {
                frame.push(mask | 126);
                frame.extend(&length.to_be_bytes()[6..]);
            }
            _ => {
                frame.push(mask | 127);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.resize(frame.len() + if is_masked { 4 } else { 0 } + length, 0xff);
        frame
    }

    #[test]
    fn the_end_of_each_frame_is_found_however_the_bytes_are_cut() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for is_masked in [false, true] {
                let frame = frame(2, length, is_masked);
                let two = [&frame[..], &frame[..]].concat();
                assert_eq!(Frames::default().advance_to_end(&two), frame.len());
                for piece in [1, 3, 7, frame.len().max(2) - 1] {
                    let mut frames = Frames::default();
                    let mut at = 0;
                    for bytes in two.chunks(piece) {
                        frames.advance(bytes);
                        at += bytes.len();
                        assert_eq!(frames.is_between(), at % frame.len() == 0, "{length} {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_close_frame_is_seen() {
        let mut frames = Frames::default();
        frames.advance(&frame(2, 8, true));
        assert!(!frames.has_closed());
        frames.advance(&frame(8, 2, true));
        assert!(frames.has_closed());
    }

    #[test]
    fn the_largest_length_is_followed() {
        let mut frames = Frames::default();
        frames.advance(&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3]);
        assert!(!frames.is_between());
    }
}
