//! Random messages that are written by this room and read again.

use std::convert::Infallible;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use proptest::collection::vec;
use proptest::prelude::*;

use super::chunk_decoder::{ChunkDecoder, Part};
use super::head_parser::HeadParser;
use super::request_head::write_field;
use super::scripted_stream::ScriptedStream;
use super::{Connection, FieldCase, ResponseHead};

type TestBody = BoxBody<Bytes, Infallible>;

fn names() -> impl Strategy<Value = HeaderName> {
    "[a-z][a-z0-9-]{0,12}".prop_map(|name| {
        // None of these may be a field with a meaning for the connection.
        HeaderName::from_bytes(format!("x-{name}").as_bytes()).unwrap()
    })
}

fn values() -> impl Strategy<Value = HeaderValue> {
    vec(prop_oneof![0x21_u8..0x7f, 0x80_u8..=0xff], 0..40)
        .prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
}

fn fields() -> impl Strategy<Value = HeaderMap> {
    let pairs = vec((names(), values()), 0..20);
    pairs.prop_map(|pairs| {
        let mut fields = HeaderMap::new();
        for (name, value) in pairs {
            fields.append(name, value);
        }
        fields
    })
}

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..6000), 0..5)
}

fn chunked(pieces: &[Vec<u8>], trailers: &HeaderMap) -> TestBody {
    let data = pieces.iter().cloned().map(Bytes::from).map(Frame::data);
    let trailers = (!trailers.is_empty()).then(|| Frame::trailers(trailers.clone()));
    let frames: Vec<_> = data.chain(trailers).map(Ok).collect();
    BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)))
}

/// Bytes that a connection writes for `request`, at most `limit` at a time.
fn written(request: Request<TestBody>, limit: usize) -> Vec<u8> {
    let mut stream = ScriptedStream::default();
    stream.limit_writes(limit);
    let mut connection = Connection::new(stream, FieldCase::Title);
    connection.send(request);
    let cx = &mut Context::from_waker(Waker::noop());
    while !connection.is_sent() {
        assert!(connection.poll_head(cx).is_pending());
    }
    connection.stream.written
}

/// Method, target and fields of the request at the front of `bytes`, and its body.
fn read_request(bytes: &[u8]) -> (Method, String, HeaderMap, &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    let size = request.parse(bytes).unwrap().unwrap();
    let mut headers = HeaderMap::new();
    for field in request.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(field.value).unwrap());
    }
    let method = request.method.unwrap().parse().unwrap();
    let target = request.path.unwrap().to_owned();
    (method, target, headers, &bytes[size..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_request_with_a_length_is_read_as_it_was_written(
        fields in fields(),
        body in vec(any::<u8>(), 0..9000),
        limit in 40_usize..20_000,
    ) {
        let mut request = Request::put("/a?b").body(Full::from(body.clone()).boxed()).unwrap();
        *request.headers_mut() = fields.clone();
        let bytes = written(request, limit);
        let (method, target, mut headers, rest) = read_request(&bytes);
        prop_assert_eq!((method, target.as_str()), (Method::PUT, "/a?b"));
        let length = headers.remove("content-length").unwrap();
        prop_assert_eq!(length, HeaderValue::from(body.len()));
        prop_assert_eq!(headers, fields);
        prop_assert_eq!(rest, body);
    }

    #[test]
    fn a_chunked_request_is_read_as_it_was_written(
        pieces in pieces(),
        trailers in fields(),
        limit in 40_usize..20_000,
        cut in 1_usize..5000,
    ) {
        let mut request = Request::post("/").body(chunked(&pieces, &trailers)).unwrap();
        for name in trailers.keys() {
            request.headers_mut().append("trailer", HeaderValue::from_name(name.clone()));
        }
        let bytes = written(request, limit);
        let (_, _, headers, rest) = read_request(&bytes);
        prop_assert_eq!(&headers["transfer-encoding"], "chunked");
        let (mut decoder, mut received) = (ChunkDecoder::new(), BytesMut::new());
        let (mut data, mut read) = (Vec::new(), HeaderMap::new());
        for arrived in rest.chunks(cut) {
            received.extend_from_slice(arrived);
            loop {
                match decoder.decode(&mut received).unwrap() {
                    Part::Data(part) => data.extend_from_slice(&part),
                    Part::Trailers(trailers) => read = trailers,
                    Part::End | Part::Missing => break,
                }
            }
        }
        prop_assert!(decoder.is_over() && received.is_empty());
        prop_assert_eq!(data, pieces.concat());
        prop_assert_eq!(read, trailers);
    }

    #[test]
    fn a_response_head_is_read_as_it_was_written(
        status in 200_u16..=999,
        fields in fields(),
        cut in 1_usize..500,
    ) {
        let mut head = format!("HTTP/1.1 {status} x\r\n").into_bytes();
        for (name, value) in &fields {
            write_field(name, value, FieldCase::Title, &mut head);
        }
        head.extend_from_slice(b"\r\n");
        let (mut parser, mut received) = (HeadParser::default(), BytesMut::new());
        let mut seen = None;
        for arrived in head.chunks(cut) {
            prop_assert!(seen.is_none());
            received.extend_from_slice(arrived);
            seen = parser.take(&mut received, &mut HeaderMap::new()).unwrap();
        }
        let seen = seen.unwrap();
        prop_assert_eq!(seen.status().as_u16(), status);
        prop_assert_eq!(seen.headers(), &fields);
    }

    #[test]
    fn no_bytes_of_a_server_are_a_panic(pieces in vec(vec(any::<u8>(), 0..200), 0..5)) {
        let start = b"HTTP/1.1 200 OK\r\n".to_vec();
        let stream = ScriptedStream::ending([start].into_iter().chain(pieces));
        let mut connection = Connection::<_, TestBody>::new(stream, FieldCase::Lower);
        connection.send(Request::new(chunked(&[], &HeaderMap::new())));
        let cx = &mut Context::from_waker(Waker::noop());
        let head = loop {
            match connection.poll_head(cx) {
                Poll::Ready(Ok(ResponseHead::Interim(_))) | Poll::Pending => {}
                Poll::Ready(Ok(ResponseHead::Final(head))) => break Some(head.status()),
                Poll::Ready(Err(_)) => break None,
            }
        };
        if head == Some(StatusCode::OK) {
            while !matches!(connection.poll_frame(cx), Poll::Ready(None | Some(Err(_)))) {}
        }
    }
}
