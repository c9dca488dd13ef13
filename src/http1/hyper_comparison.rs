//! Comparison with the HTTP/1.1 client of hyper: what this room accepts, hyper accepts too, with the same parts.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::Empty;
use hyper::client::conn::http1::Builder;
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;

use super::scripted_stream::ScriptedStream;
use super::{Connection, FieldCase, ResponseHead};

/// Number of inputs, unless the variable of this name says how many.
const COUNT: usize = 20_000;
const COUNT_VARIABLE: &str = "HTTP1_FUZZ_INPUTS";

/// Parts of a head.
#[derive(Debug, PartialEq)]
struct Head {
    status: StatusCode,
    version: Version,
    fields: HeaderMap,
    reason: Option<Bytes>,
}

/// Parts of a response.
#[derive(Debug, PartialEq)]
struct Parts {
    interims: Vec<Head>,
    head: Head,
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    /// `true` if the body ended as it should.
    is_complete: bool,
}

impl Head {
    fn of<B>(response: &Response<B>) -> Self {
        let reason = response.extensions().get::<ReasonPhrase>();
        Self {
            status: response.status(),
            version: response.version(),
            fields: response.headers().clone(),
            reason: reason.map(|reason| Bytes::copy_from_slice(reason.as_bytes())),
        }
    }
}

fn request(method: &Method) -> Request<Empty<Bytes>> {
    let request = Request::builder().method(method).header("host", "x");
    request.body(Empty::new()).unwrap()
}

/// Parts that this room finds in `input`; `None` if it refuses it. Also tells if it would use the connection again.
fn read_ours(input: &[u8], method: &Method) -> (Option<Parts>, bool) {
    let stream = ScriptedStream::ending([input]);
    let mut connection = Connection::<_, Empty<Bytes>>::new(stream, FieldCase::Lower);
    connection.send(request(method));
    let cx = &mut Context::from_waker(Waker::noop());
    let mut interims = Vec::new();
    let head = loop {
        match connection.poll_head(cx) {
            Poll::Ready(Ok(ResponseHead::Interim(head))) => interims.push(Head::of(&head)),
            Poll::Ready(Ok(ResponseHead::Final(head))) => break Head::of(&head),
            Poll::Ready(Err(_)) => return (None, false),
            Poll::Pending => {}
        }
    };
    let mut parts = Parts {
        interims,
        head,
        data: Vec::new(),
        trailers: None,
        is_complete: false,
    };
    loop {
        match connection.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => parts.data.extend_from_slice(&data),
                Err(frame) => parts.trailers = frame.into_trailers().ok(),
            },
            Poll::Ready(Some(Err(_))) => break,
            Poll::Ready(None) => {
                parts.is_complete = true;
                break;
            }
            Poll::Pending => {}
        }
    }
    (Some(parts), connection.is_idle())
}

/// Polls `future` with the connection until it is ready.
fn drive<F: Future>(
    future: Pin<&mut F>,
    connection: &mut Option<Pin<Box<dyn Future<Output = ()>>>>,
) -> Option<F::Output> {
    let mut future = future;
    let cx = &mut Context::from_waker(Waker::noop());
    for _ in 0..100_000 {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Some(output);
        }
        if let Some(running) = connection
            && running.as_mut().poll(cx).is_ready()
        {
            *connection = None;
        }
    }
    None
}

/// Parts that hyper finds in `input`; `None` if it refuses it.
fn read_hypers(input: &[u8], method: &Method) -> Option<Parts> {
    let mut builder = Builder::new();
    builder
        .max_buf_size(super::head_parser::HEAD_SIZE)
        .max_headers(256)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true);
    let stream = TokioIo::new(ScriptedStream::ending([input]));
    let handshake = drive(pin!(builder.handshake(stream)), &mut None);
    let (mut sender, connection) = handshake.unwrap().unwrap();
    let connection = connection.with_upgrades();
    let mut connection: Option<Pin<Box<dyn Future<Output = ()>>>> =
        Some(Box::pin(async move { drop(connection.await) }));
    let interims = Arc::new(Mutex::new(Vec::new()));
    let mut request = request(method);
    let heard = Arc::clone(&interims);
    hyper::ext::on_informational(&mut request, move |interim| {
        heard.lock().push(Head {
            status: interim.status(),
            version: interim.version(),
            fields: interim.headers().clone(),
            reason: None,
        });
    });
    let response = drive(pin!(sender.send_request(request)), &mut connection)?.ok()?;
    let mut parts = Parts {
        interims: std::mem::take(&mut interims.lock()),
        head: Head::of(&response),
        data: Vec::new(),
        trailers: None,
        is_complete: false,
    };
    let mut body = response.into_body();
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        match drive(pin!(frame), &mut connection) {
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => parts.data.extend_from_slice(&data),
                Err(frame) => parts.trailers = frame.into_trailers().ok(),
            },
            Some(None) => {
                parts.is_complete = true;
                return Some(parts);
            }
            Some(Some(Err(_))) | None => return Some(parts),
        }
    }
}

/// Fails if this room accepts what hyper refuses, or finds other parts. Returns whether it accepts `input` as complete.
fn compare(input: &[u8], method: &Method) -> bool {
    let said = String::from_utf8_lossy(input);
    let (ours, is_reused) = read_ours(input, method);
    let Some(mut ours) = ours else {
        return false;
    };
    for interim in &mut ours.interims {
        interim.reason = None;
    }
    let hypers = read_hypers(input, method);
    let Some(hypers) = hypers else {
        panic!("{method} {said:?} is accepted, and hyper refuses it: {ours:?}");
    };
    if ours.is_complete {
        assert_eq!(ours, hypers, "{method} {said:?}");
    } else {
        assert_eq!(ours.head, hypers.head, "{method} {said:?}");
        assert_eq!(ours.interims, hypers.interims, "{method} {said:?}");
        assert!(!is_reused, "{method} {said:?}");
    }
    ours.is_complete
}

const CORPUS: [&str; 30] = [
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nx-t: 1\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\nhello",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 9\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "HTTP/1.1 200 OK\r\nx-a : b\r\nx-b:\r\n\tc\r\n d \r\nContent-Length:2\r\n\r\nok",
    "HTTP/1.1 200\r\ncontent-length: 2, 2\r\n\r\nok",
    "HTTP/1.1 200 \u{e4}\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding:\x0bchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\nx: y\n\nhello",
    "\r\n\r\nHTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
    "HTTP/1.1 999 Custom Reason\r\nConnection: close\r\n\r\nhello",
    "HTTP/1.1 099 x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nx: \t \r\n: y\r\n\r\n",
    "HTTP/1.1 200 OK\r\n folded: a\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n00002 \t;x\r\nok\r\n0;y\r\na: b\r\nA:\r\n\r\nrest",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\na: b\nc: d\r\n\r\n",
];

const METHODS: [Method; 2] = [Method::GET, Method::HEAD];

#[test]
fn each_response_of_the_corpus_means_the_same() {
    let mut accepted = 0;
    for text in CORPUS {
        for method in METHODS {
            for end in 0..=text.len() {
                accepted += usize::from(compare(&text.as_bytes()[..end], &method));
            }
        }
    }
    assert!(accepted > 50, "{accepted}");
}

/// Number of random inputs, and the seed of their randomness.
pub(super) fn count_and_seed() -> (usize, u64) {
    let count = std::env::var(COUNT_VARIABLE).ok();
    match count.map_or(COUNT, |count| count.parse().unwrap()) {
        COUNT => (COUNT, 13),
        count => (count, fastrand::u64(..)),
    }
}

/// Parts of responses, of which random messages are made.
const WORDS: [&str; 48] = [
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ": ",
    ",",
    ";",
    "0",
    "1",
    "2",
    "5",
    "f",
    "A",
    "00",
    "HTTP/1.1 ",
    "HTTP/1.0 ",
    "100",
    "101",
    "103",
    "200",
    "204",
    "304",
    " OK\r\n",
    "content-length",
    "content-length: 2\r\n",
    "Content-Length:",
    "transfer-encoding",
    "transfer-encoding: chunked\r\n",
    "chunked",
    "gzip, ",
    "connection: ",
    "close",
    "keep-alive",
    "upgrade: x\r\n",
    "x-a: b\r\n",
    "link: </a>\r\n",
    "2\r\nok\r\n",
    "0\r\n\r\n",
    "0\r\n",
    "5\r\nhello\r\n",
    "ok",
    "\u{e4}",
    "\x7f",
    "trailer: x-a\r\n",
];

/// Changes a few bytes of `message`, also by one of these words.
pub(super) fn mutate(message: &mut Vec<u8>, words: &[&str], random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..5) {
        let at = random.usize(..=message.len());
        match random.u8(..7) {
            0 => message.truncate(at),
            1 if at < message.len() => message[at] = random.u8(..),
            2 if at < message.len() => message[at] ^= 1 << random.u8(..8),
            3 => {
                let end = message.len().min(at + random.usize(1..20));
                message.drain(at..end);
            }
            4 => {
                let end = message.len().min(at + random.usize(1..40));
                let copy = message[at..end].to_vec();
                let to = random.usize(..=message.len());
                message.splice(to..to, copy);
            }
            _ => {
                let word = words[random.usize(..words.len())];
                message.splice(at..at, word.bytes());
            }
        }
    }
}

/// A random message: a response of the corpus with changes, or a head made of random words.
fn random_message(random: &mut fastrand::Rng) -> Vec<u8> {
    if random.u8(..4) > 0 {
        let text = CORPUS[random.usize(..CORPUS.len())];
        let mut message = text.as_bytes().to_vec();
        mutate(&mut message, &WORDS, random);
        return message;
    }
    let mut text = ["HTTP/1.1 200 OK\r\n", ""][random.usize(..2)].to_owned();
    for _ in 0..random.usize(1..30) {
        text.push_str(WORDS[random.usize(..WORDS.len())]);
    }
    text.into_bytes()
}

/// Replaces later minor versions, which hyper refuses, by 1.
fn lower_versions(message: &mut [u8]) {
    for at in 7..message.len() {
        if message[..at].ends_with(b"HTTP/1.") && matches!(message[at], b'2'..=b'9') {
            message[at] = b'1';
        }
    }
}

#[test]
fn random_responses_that_are_accepted_mean_the_same() {
    let (count, seed) = count_and_seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut accepted = 0;
    for _ in 0..count {
        let mut message = random_message(&mut random);
        lower_versions(&mut message);
        let method = &METHODS[random.usize(..METHODS.len())];
        accepted += usize::from(compare(&message, method));
    }
    let share = accepted * 100 / count;
    assert!((5..95).contains(&share), "{share} % of seed {seed}");
}
