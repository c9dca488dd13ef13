//! Versions in status lines. A response of HTTP/1.2 or later is read as HTTP/1.1 (RFC 9110 section 2.5), which the HTTP
//! library refuses to do.

const NAME: &[u8] = b"HTTP/1.";

/// Position in the heads of the responses of one exchange. The default is after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StatusLine {
    /// Nothing more to change.
    #[default]
    Over,
    /// This number of bytes of [`NAME`] has been read.
    Name(usize),
    /// The version is changed; these digits of the status have been read.
    Status { digits: u8, status: u16 },
    /// In the head of an interim response, after this number of consecutive line ends. Another head follows.
    Interim { line_ends: u8 },
}

impl StatusLine {
    /// Position before the first byte of a response.
    pub(super) const START: Self = Self::Name(0);

    /// Changes the minor versions in `bytes`, which follow those of the last call.
    pub(super) fn lower_version(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if *self == Self::Over {
                return;
            }
            *self = self.next(byte);
        }
    }

    fn next(self, byte: &mut u8) -> Self {
        match (self, *byte) {
            (Self::Name(0), b'\r' | b'\n') => self,
            (Self::Name(read), byte) if NAME.get(read) == Some(&byte) => Self::Name(read + 1),
            (Self::Name(read), b'2'..=b'9') if read == NAME.len() => {
                *byte = b'1';
                let (digits, status) = (0, 0);
                Self::Status { digits, status }
            }
            (Self::Status { digits: 0, .. }, b' ') => self,
            (Self::Status { digits, status }, digit @ b'0'..=b'9') => {
                match (digits, status * 10 + u16::from(digit - b'0')) {
                    (0 | 1, status) => Self::Status {
                        digits: digits + 1,
                        status,
                    },
                    // After 101, the bytes are no longer HTTP.
                    (_, 100 | 102..=199) => Self::Interim { line_ends: 0 },
                    _ => Self::Over,
                }
            }
            (Self::Interim { line_ends: 1 }, b'\n') => Self::START,
            (Self::Interim { .. }, b'\n') => Self::Interim { line_ends: 1 },
            (Self::Interim { .. }, b'\r') => self,
            (Self::Interim { .. }, _) => Self::Interim { line_ends: 0 },
            (Self::Over | Self::Name(_) | Self::Status { .. }, _) => Self::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that the HTTP library gets, if these arrive one by one or at once.
    fn seen(bytes: &str) -> String {
        let (mut at_once, mut one_by_one) = (bytes.as_bytes().to_vec(), bytes.as_bytes().to_vec());
        let mut position = StatusLine::START;
        position.lower_version(&mut at_once);
        let mut position = StatusLine::START;
        for byte in one_by_one.chunks_mut(1) {
            position.lower_version(byte);
        }
        assert_eq!(at_once, one_by_one);
        String::from_utf8(at_once).unwrap()
    }

    #[test]
    fn a_later_minor_version_becomes_1_1() {
        assert_eq!(seen("HTTP/1.2 200 OK\r\n"), "HTTP/1.1 200 OK\r\n");
        assert_eq!(seen("\r\nHTTP/1.9 404\r\n"), "\r\nHTTP/1.1 404\r\n");
        let interim = "HTTP/1.2 103 Early\r\nlink: <a>\r\n\r\nHTTP/1.2 200 OK\r\n\r\nHTTP/1.2 ";
        assert_eq!(
            seen(interim),
            "HTTP/1.1 103 Early\r\nlink: <a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nHTTP/1.2 "
        );
    }

    #[test]
    fn nothing_else_is_changed() {
        for bytes in [
            "HTTP/1.0 200 OK\r\n\r\nHTTP/1.2 x",
            "HTTP/1.1 200 OK\r\n\r\nHTTP/1.2 x",
            "HTTP/2.2 200",
            "HTTP/1.x 200",
            "ICY 200 OK",
        ] {
            assert_eq!(seen(bytes), bytes);
        }
        let tunnel = seen("HTTP/1.2 101 Switching\r\n\r\nHTTP/1.2 ");
        assert_eq!(tunnel, "HTTP/1.1 101 Switching\r\n\r\nHTTP/1.2 ");
    }
}
