//! Parser of the heads of responses, over `httparse`.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use httparse::{ParserConfig, Status};
use hyper::ext::ReasonPhrase;

use super::error::Error;

/// Maximum size of a head, in bytes.
pub(super) const HEAD_SIZE: usize = 64 * 1024;
/// Maximum number of fields in a head.
const HEAD_FIELDS: usize = 256;
/// Start of a status line, before its minor version.
const VERSION: &[u8] = b"HTTP/1.";

/// Parser of heads that arrive in pieces. Keeps memory that each head needs.
#[derive(Debug, Default)]
pub(super) struct HeadParser {
    fields: Vec<FieldRange>,
    /// Number of bytes that hold no complete head.
    searched: usize,
}

/// Places of a field in its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldRange {
    name: (usize, usize),
    value: (usize, usize),
}

/// Status line of a head.
struct StatusLine {
    status: StatusCode,
    version: Version,
    /// Reason, if it is not the usual one of the status.
    reason: Option<ReasonPhrase>,
    /// Size of the whole head.
    size: usize,
}

impl HeadParser {
    /// Takes a head from the front of `received`; `None` if it is not complete. The fields go into `spare`, an empty map
    /// whose memory is used.
    ///
    /// As old servers send them, heads may have folded fields and spaces after field names (RFC 9112 sections 5.1 and
    /// 5.2). A version later than HTTP/1.1 is read as HTTP/1.1 (RFC 9110 section 2.5).
    pub(super) fn take(
        &mut self,
        received: &mut BytesMut,
        spare: &mut HeaderMap,
    ) -> Result<Option<Response<()>>, Error> {
        let start = self.searched.saturating_sub(3);
        if received.is_empty() || (self.searched > 0 && !has_empty_line(&received[start..])) {
            return self.wait(received.len());
        }
        lower_version(received);
        let Some(line) = self.parse(received)? else {
            return self.wait(received.len());
        };
        if line.size > HEAD_SIZE {
            return Err(Error::HeadTooLarge);
        }
        self.searched = 0;
        let mut head = received.split_to(line.size);
        for field in &mut self.fields {
            field.unfold(&mut head);
        }
        let head = head.freeze();
        let mut response = Response::new(());
        *response.status_mut() = line.status;
        *response.version_mut() = line.version;
        if let Some(reason) = line.reason {
            response.extensions_mut().insert(reason);
        }
        let headers = response.headers_mut();
        *headers = std::mem::take(spare);
        headers.reserve(self.fields.len());
        for field in &self.fields {
            let (name, value) = field.read(&head)?;
            headers.append(name, value);
        }
        Ok(Some(response))
    }

    /// Records that the first `searched` bytes hold no complete head.
    fn wait(&mut self, searched: usize) -> Result<Option<Response<()>>, Error> {
        self.searched = searched;
        if searched < HEAD_SIZE {
            Ok(None)
        } else {
            Err(Error::HeadTooLarge)
        }
    }

    /// Parses the head at the front of `bytes` and records the places of its fields; `None` if it is not complete.
    fn parse(&mut self, bytes: &[u8]) -> Result<Option<StatusLine>, Error> {
        let mut config = ParserConfig::default();
        config
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true);
        let mut fields = [const { MaybeUninit::uninit() }; HEAD_FIELDS];
        let mut head = httparse::Response::new(&mut []);
        let parsed = config.parse_response_with_uninit_headers(&mut head, bytes, &mut fields);
        let size = match parsed {
            Ok(Status::Complete(size)) => size,
            Ok(Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Error::HeadTooLarge),
            Err(error) => return Err(Error::Head(error)),
        };
        self.fields.clear();
        let fields = head.headers.iter();
        self.fields
            .extend(fields.map(|field| FieldRange::of(field, bytes)));
        let status = StatusCode::from_u16(head.code.unwrap_or_default());
        let status = status.map_err(|_| Error::Status)?;
        let reason = head.reason.unwrap_or_default();
        let is_usual = status.canonical_reason() == Some(reason);
        Ok(Some(StatusLine {
            status,
            version: match head.version {
                Some(0) => Version::HTTP_10,
                _ => Version::HTTP_11,
            },
            reason: if is_usual {
                None
            } else {
                ReasonPhrase::try_from(reason.as_bytes()).ok()
            },
            size,
        }))
    }
}

/// Place of `part` in `whole`, of which it is a part.
pub(super) fn range_of(part: &[u8], whole: &[u8]) -> (usize, usize) {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    (start, start + part.len())
}

impl FieldRange {
    /// Places of a field that lies in `bytes`.
    pub(super) fn of(field: &httparse::Header<'_>, bytes: &[u8]) -> Self {
        Self {
            name: range_of(field.name.as_bytes(), bytes),
            value: range_of(field.value, bytes),
        }
    }

    /// Name and value of the field in `head`. The value shares its memory.
    pub(super) fn read(self, head: &Bytes) -> Result<(HeaderName, HeaderValue), Error> {
        let name = HeaderName::from_bytes(&head[self.name.0..self.name.1]);
        let value = HeaderValue::from_maybe_shared(head.slice(self.value.0..self.value.1));
        match (name, value) {
            (Ok(name), Ok(value)) => Ok((name, value)),
            (Err(_), _) => Err(Error::Head(httparse::Error::HeaderName)),
            (_, Err(_)) => Err(Error::Head(httparse::Error::HeaderValue)),
        }
    }

    /// Puts a folded value on one line. Each fold becomes one space.
    fn unfold(&mut self, head: &mut [u8]) {
        let value = &mut head[self.value.0..self.value.1];
        if !value.contains(&b'\n') {
            return;
        }
        let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines: Vec<_> = lines.collect();
        let unfolded = lines.join(&b' ');
        value[..unfolded.len()].copy_from_slice(&unfolded);
        self.value.1 = self.value.0 + unfolded.len();
    }
}

/// `true` if a line end in `bytes` is followed by an empty line.
pub(super) fn has_empty_line(bytes: &[u8]) -> bool {
    let is_line_end = |rest: &[u8]| rest.starts_with(b"\n") || rest.starts_with(b"\r\n");
    let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    ends.any(|(at, _)| is_line_end(&bytes[at + 1..]))
}

/// Replaces a minor version from 2 to 9 in the status line, which `httparse` does not know, by 1.
fn lower_version(bytes: &mut [u8]) {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let line = &mut bytes[start.unwrap_or_default()..];
    if line.starts_with(VERSION)
        && let Some(minor @ b'2'..=b'9') = line.get_mut(VERSION.len())
    {
        *minor = b'1';
    }
}

/// `true` if these bytes cannot be the beginning of a head.
pub(super) fn is_no_head(bytes: &[u8]) -> bool {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = bytes.iter().position(|byte| !is_line_end(byte));
    let line = start.map_or(&[][..], |start| &bytes[start..]);
    let length = line.len().min(VERSION.len());
    line[..length] != VERSION[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head and the bytes after it.
    type Taken = (Response<()>, Vec<u8>);

    /// Parses a head that arrives in these pieces.
    fn take(pieces: &[&[u8]]) -> Result<Option<Taken>, Error> {
        let (mut parser, mut received) = (HeadParser::default(), BytesMut::new());
        for (number, piece) in pieces.iter().enumerate() {
            received.extend_from_slice(piece);
            if let Some(head) = parser.take(&mut received, &mut HeaderMap::new())? {
                let rest = pieces[number + 1..].concat();
                return Ok(Some((head, [received.to_vec(), rest].concat())));
            }
        }
        Ok(None)
    }

    fn head(text: &str) -> Response<()> {
        take(&[text.as_bytes()]).unwrap().unwrap().0
    }

    fn fields(response: &Response<()>) -> Vec<(&str, &[u8])> {
        let fields = response.headers().iter();
        fields
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect()
    }

    #[test]
    fn a_head_is_the_same_wherever_it_is_cut() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx:\r\n\r\n",
            "\r\n\nHTTP/1.0 404 Nope\nx : y\n\n",
            "HTTP/1.7 299\r\nx: a\r\n\tb \r\n  c\r\ny: z\r\n\r\n",
        ] {
            let bytes = [text.as_bytes(), b"rest"].concat();
            let (whole, rest) = take(&[&bytes]).unwrap().unwrap();
            assert_eq!(rest, b"rest");
            for cut in 0..bytes.len() {
                let (first, second) = bytes.split_at(cut);
                let (head, rest) = take(&[first, second]).unwrap().unwrap();
                assert_eq!(fields(&head), fields(&whole));
                assert_eq!(
                    (head.status(), head.version()),
                    (whole.status(), whole.version())
                );
                assert_eq!(rest, b"rest", "{cut}");
            }
            let single: Vec<_> = bytes.chunks(1).collect();
            assert_eq!(fields(&take(&single).unwrap().unwrap().0), fields(&whole));
            for cut in 0..text.len() {
                assert!(take(&[&text.as_bytes()[..cut]]).unwrap().is_none(), "{cut}");
            }
        }
    }

    #[test]
    fn folded_fields_get_one_space_per_fold() {
        let response = head("HTTP/1.1 200 OK\r\nx: a\r\n\tb \r\n  c\r\ny:\r\n z\r\n\r\n");
        assert_eq!(fields(&response), [("x", &b"a b c"[..]), ("y", b"z")]);
    }

    #[test]
    fn spaces_after_names_and_bytes_beyond_ascii_are_understood() {
        let mut bytes = b"HTTP/1.1 200 \xff\r\nX-A \t: \xe4\xff \r\n\r\n".to_vec();
        let (response, _) = take(&[&bytes]).unwrap().unwrap();
        assert_eq!(fields(&response), [("x-a", &b"\xe4\xff"[..])]);
        bytes[20] = 0;
        assert!(take(&[&bytes]).is_err());
    }

    #[test]
    fn later_minor_versions_are_read_as_1_1() {
        for (version, read) in [
            ("1.0", Some(Version::HTTP_10)),
            ("1.1", Some(Version::HTTP_11)),
            ("1.2", Some(Version::HTTP_11)),
            ("1.9", Some(Version::HTTP_11)),
            ("1.x", None),
            ("1.11", None),
            ("2.0", None),
            ("0.9", None),
        ] {
            let text = format!("\r\nHTTP/{version} 200 OK\r\n\r\n");
            let seen = take(&[text.as_bytes()]).ok().flatten();
            assert_eq!(seen.map(|(head, _)| head.version()), read, "{version}");
        }
    }

    #[test]
    fn only_a_reason_that_is_not_the_usual_one_is_kept() {
        for (line, reason) in [
            ("200 OK", None),
            ("200 Fine", Some("Fine")),
            ("200", Some("")),
            ("299 ", Some("")),
        ] {
            let response = head(&format!("HTTP/1.1 {line}\r\n\r\n"));
            let kept = response.extensions().get::<ReasonPhrase>();
            assert_eq!(kept.map(ReasonPhrase::as_bytes), reason.map(str::as_bytes));
        }
    }

    #[test]
    fn what_is_no_head_fails_at_once() {
        for text in [
            "garbage",
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 abc",
            "HTTP/1.1 099 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx y: z\r\n",
            "HTTP/1.1 200 OK\r\n: z\r\n",
            "HTTP/1.1 200 OK\r\n folded: z\r\n",
        ] {
            assert!(take(&[text.as_bytes()]).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_size_and_the_number_of_fields_are_limited() {
        let with = |size: usize, count: usize| {
            let (value, more) = ("v".repeat(size), "x: y\r\n".repeat(count));
            take(&[format!("HTTP/1.1 200 OK\r\nx:{value}\r\n{more}\r\n").as_bytes()])
        };
        assert!(with(65_000, 0).is_ok() && with(1, 255).is_ok());
        for refused in [with(65_536, 0), with(1, 256)] {
            assert!(matches!(refused, Err(Error::HeadTooLarge)));
        }
        let endless = [&b"HTTP/1.1 200 OK\r\nx: "[..], &[b'y'; HEAD_SIZE]];
        assert!(matches!(take(&endless), Err(Error::HeadTooLarge)));
    }
}
