//! Random messages of a client that are read, and random responses that are written and read again.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use parking_lot::Mutex;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{HeadLimits, IncomingBody, ResponseFuture, ServerConnection, Service};
use crate::http1::chunk_decoder::{ChunkDecoder, Part};
use crate::http1::head_parser::HeadParser;
use crate::http1::scripted_stream::ScriptedStream;

type TestBody = BoxBody<Bytes, Infallible>;

const LIMITS: HeadLimits = HeadLimits {
    size: 64 * 1024,
    fields: 100,
};

/// Answers the first request with a response.
struct OneResponse(Mutex<Option<Response<TestBody>>>);

impl Service for OneResponse {
    type Body = TestBody;

    fn call(&self, _: Request<IncomingBody>) -> ResponseFuture<TestBody> {
        let response = self.0.lock().take();
        Box::pin(ready(response.unwrap_or_default()))
    }

    fn date(&self) -> HeaderValue {
        HeaderValue::from_static("now")
    }
}

fn fields() -> impl Strategy<Value = HeaderMap> {
    let names = "[a-z][a-z0-9-]{0,12}".prop_map(|name| {
        // None of these may be a field with a meaning for the connection.
        HeaderName::from_bytes(format!("x-{name}").as_bytes()).unwrap()
    });
    let values = vec(prop_oneof![0x21_u8..0x7f, 0x80_u8..=0xff], 0..40)
        .prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap());
    vec((names, values), 0..20).prop_map(|pairs| {
        let mut fields = HeaderMap::new();
        for (name, value) in pairs {
            fields.append(name, value);
        }
        fields
    })
}

/// Bytes that a connection writes for `response`, at most `limit` at a time.
fn written(response: Response<TestBody>, limit: usize) -> Vec<u8> {
    let mut stream = ScriptedStream::of(["GET / HTTP/1.1\r\nte: trailers\r\n\r\n"]);
    stream.limit_writes(limit);
    let service = OneResponse(Mutex::new(Some(response)));
    let mut connection = ServerConnection::new(stream, service, LIMITS);
    let cx = &mut Context::from_waker(Waker::noop());
    for _ in 0..5000 {
        assert!(Pin::new(&mut connection).poll(cx).is_pending());
    }
    connection.into_stream().unwrap().0.written
}

/// Reads the head of a response. Returns its fields and what follows it.
fn read_head(bytes: &[u8]) -> (HeaderMap, BytesMut) {
    let mut received = BytesMut::from(bytes);
    let (mut parser, mut spare) = (HeadParser::default(), HeaderMap::new());
    let head = parser.take(&mut received, &mut spare).unwrap().unwrap();
    let mut fields = head.into_parts().0.headers;
    assert!(fields.remove("date").is_some());
    (fields, received)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_response_with_a_length_is_read_as_it_was_written(
        fields in fields(),
        body in vec(any::<u8>(), 0..9000),
        limit in 40_usize..20_000,
    ) {
        let mut response = Response::new(Full::from(body.clone()).boxed());
        *response.headers_mut() = fields.clone();
        let (mut headers, rest) = read_head(&written(response, limit));
        let length = headers.remove("content-length").unwrap();
        prop_assert_eq!(length, HeaderValue::from(body.len()));
        prop_assert_eq!(headers, fields);
        prop_assert_eq!(&rest[..], &body[..]);
    }

    #[test]
    fn a_chunked_response_is_read_as_it_was_written(
        pieces in vec(vec(any::<u8>(), 0..6000), 0..5),
        trailers in fields(),
        limit in 40_usize..20_000,
    ) {
        let data = pieces.iter().cloned().map(Bytes::from).map(Frame::data);
        let last = (!trailers.is_empty()).then(|| Frame::trailers(trailers.clone()));
        let frames: Vec<_> = data.chain(last).map(Ok).collect();
        let body = BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)));
        let mut response = Response::new(body);
        for name in trailers.keys() {
            let name = HeaderValue::from_name(name.clone());
            response.headers_mut().append("trailer", name);
        }
        let (headers, mut received) = read_head(&written(response, limit));
        prop_assert_eq!(&headers["transfer-encoding"], "chunked");
        let mut decoder = ChunkDecoder::new();
        let (mut data, mut read) = (Vec::new(), HeaderMap::new());
        loop {
            match decoder.decode(&mut received).unwrap() {
                Part::Data(part) => data.extend_from_slice(&part),
                Part::Trailers(trailers) => read = trailers,
                Part::End | Part::Missing => break,
            }
        }
        prop_assert!(decoder.is_over() && received.is_empty());
        prop_assert_eq!(data, pieces.concat());
        prop_assert_eq!(read, trailers);
    }

    #[test]
    fn no_bytes_of_a_client_are_a_panic(pieces in vec(vec(any::<u8>(), 0..200), 0..5)) {
        let start = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n".to_vec();
        let stream = ScriptedStream::ending([start].into_iter().chain(pieces));
        let service = OneResponse(Mutex::new(None));
        let mut connection = ServerConnection::new(stream, service, LIMITS);
        let cx = &mut Context::from_waker(Waker::noop());
        let mut polls = 0..1000;
        while polls.next().is_some()
            && matches!(Pin::new(&mut connection).poll(cx), Poll::Pending)
        {}
    }
}
