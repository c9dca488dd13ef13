//! Parser of the heads of requests, over `httparse`.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Uri, Version};
use httparse::{Header, Status};

use super::error::Refusal;
use super::request_meaning::{RequestFraming, RequestMeaning};
use crate::http1::head_parser::{FieldRange, has_empty_line, range_of};

/// Number of fields for which a parse needs no memory on the heap.
const STACK_FIELDS: usize = 128;
/// Maximum size of a target, which is that of [`Uri`].
const TARGET_SIZE: usize = u16::MAX as usize - 1;

/// Limits of the heads of requests.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Maximum size, in bytes.
    pub size: usize,
    /// Maximum number of fields, and of trailers.
    pub fields: usize,
}

/// Mark of a request whose target had a fragment, which is not part of its [`Uri`]. Without its fragment,
/// `DELETE /folder/#file` is another request.
#[derive(Clone, Copy, Debug)]
pub struct CutTarget;

/// Parser of heads that arrive in pieces. Keeps memory that each head needs.
#[derive(Debug, Default)]
pub(super) struct RequestParser {
    fields: Vec<FieldRange>,
    /// Number of bytes that hold no complete head.
    searched: usize,
}

/// Head of a request, with its meaning for the connection.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) request: Request<()>,
    pub(super) meaning: RequestMeaning,
    pub(super) framing: RequestFraming,
}

/// Request line of a head.
struct RequestLine {
    method: Method,
    /// Place of the target.
    target: (usize, usize),
    version: Version,
    /// Size of the whole head.
    size: usize,
}

impl RequestParser {
    /// Takes a head from the front of `received`; `None` if it is not complete. The fields go into `spare`, an empty map
    /// whose memory is used.
    pub(super) fn take(
        &mut self,
        received: &mut BytesMut,
        spare: &mut HeaderMap,
        limits: HeadLimits,
    ) -> Result<Option<RequestHead>, Refusal> {
        let start = self.searched.saturating_sub(3);
        if received.is_empty() || (self.searched > 0 && !has_empty_line(&received[start..])) {
            return self.wait(received.len(), limits);
        }
        let Some(line) = self.parse(received, limits)? else {
            return self.wait(received.len(), limits);
        };
        if line.size > limits.size {
            return Err(Refusal::HeadTooLarge);
        }
        self.searched = 0;
        let head = received.split_to(line.size).freeze();
        self.read(line, &head, spare).map(Some)
    }

    /// Records that the first `searched` bytes hold no complete head.
    fn wait(
        &mut self,
        searched: usize,
        limits: HeadLimits,
    ) -> Result<Option<RequestHead>, Refusal> {
        self.searched = searched;
        if searched < limits.size {
            Ok(None)
        } else {
            Err(Refusal::HeadTooLarge)
        }
    }

    /// Parses the head at the front of `bytes` and records the places of its fields; `None` if it is not complete.
    fn parse(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<RequestLine>, Refusal> {
        if limits.fields <= STACK_FIELDS {
            let mut fields = [const { MaybeUninit::uninit() }; STACK_FIELDS];
            return self.parse_into(bytes, &mut fields[..limits.fields]);
        }
        let mut fields = vec![MaybeUninit::uninit(); limits.fields];
        self.parse_into(bytes, &mut fields)
    }

    fn parse_into<'b>(
        &mut self,
        bytes: &'b [u8],
        fields: &mut [MaybeUninit<Header<'b>>],
    ) -> Result<Option<RequestLine>, Refusal> {
        let mut head = httparse::Request::new(&mut []);
        let size = match head.parse_with_uninit_headers(bytes, fields) {
            Ok(Status::Complete(size)) => size,
            Ok(Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
            Err(_) => return Err(Refusal::Malformed),
        };
        let (Some(method), Some(target)) = (head.method, head.path) else {
            return Err(Refusal::Malformed);
        };
        if target.len() > TARGET_SIZE {
            return Err(Refusal::TargetTooLong);
        }
        self.fields.clear();
        let fields = head.headers.iter();
        self.fields
            .extend(fields.map(|field| FieldRange::of(field, bytes)));
        let method = Method::from_bytes(method.as_bytes());
        Ok(Some(RequestLine {
            method: method.map_err(|_| Refusal::Malformed)?,
            target: range_of(target.as_bytes(), bytes),
            version: match head.version {
                Some(1) => Version::HTTP_11,
                _ => Version::HTTP_10,
            },
            size,
        }))
    }

    /// Makes a request of a head whose fields lie at the recorded places.
    fn read(
        &self,
        line: RequestLine,
        head: &Bytes,
        spare: &mut HeaderMap,
    ) -> Result<RequestHead, Refusal> {
        let target = head.slice(line.target.0..line.target.1);
        let has_fragment = target.contains(&b'#');
        let uri = Uri::from_maybe_shared(target).map_err(|_| Refusal::Malformed)?;
        let mut meaning = RequestMeaning::new(line.version);
        let mut headers = std::mem::take(spare);
        headers.reserve(self.fields.len());
        for field in &self.fields {
            let (name, value) = field.read(head).map_err(|_| Refusal::Malformed)?;
            meaning.note(&name, &value)?;
            let appended = headers.try_append(name, value);
            appended.map_err(|_| Refusal::HeadTooLarge)?;
        }
        let framing = meaning.framing()?;
        let mut request = Request::new(());
        *request.method_mut() = line.method;
        *request.uri_mut() = uri;
        *request.version_mut() = line.version;
        *request.headers_mut() = headers;
        if has_fragment {
            request.extensions_mut().insert(CutTarget);
        }
        Ok(RequestHead {
            request,
            meaning,
            framing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        size: 8192,
        fields: 100,
    };

    /// A head and the bytes after it.
    type Taken = (RequestHead, Vec<u8>);

    /// Parses a head that arrives in these pieces.
    fn take(pieces: &[&[u8]], limits: HeadLimits) -> Result<Option<Taken>, Refusal> {
        let (mut parser, mut received) = (RequestParser::default(), BytesMut::new());
        for (number, piece) in pieces.iter().enumerate() {
            received.extend_from_slice(piece);
            if let Some(head) = parser.take(&mut received, &mut HeaderMap::new(), limits)? {
                let rest = pieces[number + 1..].concat();
                return Ok(Some((head, [received.to_vec(), rest].concat())));
            }
        }
        Ok(None)
    }

    fn head(text: &str) -> Result<RequestHead, Refusal> {
        take(&[text.as_bytes()], LIMITS).map(|taken| taken.unwrap().0)
    }

    fn parts(head: &RequestHead) -> String {
        let request = &head.request;
        let (method, uri, version) = (request.method(), request.uri(), request.version());
        format!(
            "{method} {uri} {version:?} {:?} {:?}",
            request.headers(),
            head.framing
        )
    }

    #[test]
    fn a_head_is_the_same_wherever_it_is_cut() {
        for text in [
            "GET /a?b HTTP/1.1\r\nHost: a\r\nx:\r\n\r\n",
            "\r\n\nPOST * HTTP/1.0\nx: y\ncontent-length: 4\n\n",
            "M-SEARCH http://a:1/b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            let bytes = [text.as_bytes(), b"rest"].concat();
            let (whole, rest) = take(&[&bytes], LIMITS).unwrap().unwrap();
            assert_eq!(rest, b"rest");
            for cut in 0..bytes.len() {
                let (first, second) = bytes.split_at(cut);
                let (head, rest) = take(&[first, second], LIMITS).unwrap().unwrap();
                assert_eq!(parts(&head), parts(&whole), "{cut}");
                assert_eq!(rest, b"rest", "{cut}");
            }
            let single: Vec<_> = bytes.chunks(1).collect();
            let (head, _) = take(&single, LIMITS).unwrap().unwrap();
            assert_eq!(parts(&head), parts(&whole));
            for cut in 0..text.len() {
                let cut = take(&[&text.as_bytes()[..cut]], LIMITS).unwrap();
                assert!(cut.is_none(), "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in [
            "garbage\r\n\r\n",
            "GET / HTTP/1.2\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET /\r\n\r\n",
            "GET /a b HTTP/1.1\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "G(T / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nx y: z\r\n\r\n",
            "GET / HTTP/1.1\r\nx : z\r\n\r\n",
            "GET / HTTP/1.1\r\n: z\r\n\r\n",
            "GET / HTTP/1.1\r\nx: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nx: a\0\r\n\r\n",
            "GET http:// HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(head(text).unwrap_err(), Refusal::Malformed, "{text:?}");
        }
    }

    #[test]
    fn a_fragment_is_marked_and_not_part_of_the_target() {
        for (target, uri, is_cut) in [
            ("/a?b", "/a?b", false),
            ("/a#b", "/a", true),
            ("/#", "/", true),
            ("http://a#b", "http://a/", true),
            ("http://a/b?c#", "http://a/b?c", true),
        ] {
            let head = head(&format!("GET {target} HTTP/1.1\r\nx: #\r\n\r\n")).unwrap();
            assert_eq!(head.request.uri().to_string(), uri);
            let mark = head.request.extensions().get::<CutTarget>();
            assert_eq!(mark.is_some(), is_cut, "{target}");
        }
    }

    #[test]
    fn the_size_and_the_number_of_fields_are_limited() {
        for fields in [100, STACK_FIELDS, STACK_FIELDS + 1, 300] {
            let limits = HeadLimits { size: 8192, fields };
            let with = |size: usize, count: usize| {
                let (value, more) = ("v".repeat(size), "x: y\r\n".repeat(count));
                let text = format!("GET / HTTP/1.1\r\nx:{value}\r\n{more}\r\n");
                take(&[text.as_bytes()], limits)
            };
            assert!(with(6000, 0).is_ok() && with(1, fields - 1).is_ok());
            for refused in [with(8192, 0), with(1, fields)] {
                assert_eq!(refused.unwrap_err(), Refusal::HeadTooLarge);
            }
            let endless = [&b"GET / HTTP/1.1\r\nx: "[..], &[b'y'; 8192]];
            assert_eq!(take(&endless, limits).unwrap_err(), Refusal::HeadTooLarge);
        }
        let limits = HeadLimits {
            size: 1 << 20,
            fields: 1,
        };
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(TARGET_SIZE));
        let refused = take(&[long.as_bytes()], limits).unwrap_err();
        assert_eq!(refused, Refusal::TargetTooLong);
    }
}
