//! One HTTP/1.1 connection to a server. Must not know what kind of byte stream carries it.

use std::fmt;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite};

use super::body_decoder::BodyDecoder;
use super::chunk_decoder::Part;
use super::error::{Error, ExchangeError};
use super::field_case::FieldCase;
use super::head_parser::{HeadParser, is_no_head};
use super::read_buffer::ReadBuffer;
use super::request_head::asks_for_close;
use super::response_head::{ResponseFraming, ResponseHead, keeps_alive};
use super::sending::Sending;
use super::upgraded::Upgraded;

/// Maximum number of interim responses to one request that are returned. Further ones are dropped, so that endless ones end
/// with the caller's time limit.
const INTERIM_COUNT: usize = 1000;

/// Connection that carries one exchange at a time. It has no task of its own: whoever waits for it drives it. Dropping it
/// closes the byte stream.
///
/// The steps of an exchange, in their order:
///
/// 1. [`Self::check`] tells if an idle connection is still open.
/// 2. [`Self::send`] takes the request.
/// 3. [`Self::poll_head`] returns the interim responses and then the head of the final response. It also sends the request.
/// 4. [`Self::poll_frame`] returns the body of the response. It also sends the rest of the request.
/// 5. [`Self::poll_sent`] sends what is left of the request after the end of the response.
/// 6. If [`Self::is_idle`], the next exchange may begin.
///
/// After a failure, the connection is of no use any more. `S` is the byte stream, and `B` the body of requests.
pub struct Connection<S, B> {
    pub(super) stream: S,
    sending: Sending<B>,
    received: ReadBuffer,
    parser: HeadParser,
    /// Empty map, whose memory the next response uses.
    spare: HeaderMap,
    receiving: Receiving,
    /// `true` if another request may follow the current one.
    is_kept: bool,
    /// `true` if bytes have arrived since the last request.
    has_received: bool,
}

/// Outcome of a step of an exchange whose request has the body `B`.
type Outcome<T, B> = Result<T, ExchangeError<<B as Body>::Error>>;

/// Position in the response.
#[derive(Debug)]
enum Receiving {
    /// No request has been sent, or the response is complete.
    Nothing,
    /// Before the head of the final response, after this number of interim responses.
    Head {
        is_head: bool,
        interims: usize,
    },
    Body(BodyDecoder),
    /// The connection has switched to another protocol.
    Switched,
    /// A failure that is still to be reported.
    Refused(Error),
    /// Nothing more can be received or sent.
    Failed,
}

impl<S, B> Connection<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body<Data = Bytes> + Unpin,
{
    /// A connection over `stream`, which sends field names in `field_case`.
    pub fn new(stream: S, field_case: FieldCase) -> Self {
        Self {
            stream,
            sending: Sending::new(field_case),
            received: ReadBuffer::new(),
            parser: HeadParser::default(),
            spare: HeaderMap::new(),
            receiving: Receiving::Nothing,
            is_kept: true,
            has_received: false,
        }
    }

    /// `true` if a request can be sent now. Reads once, since only a read shows that the server has closed an idle
    /// connection, or has sent something without a request.
    pub fn check(&mut self) -> bool {
        let no_waker = &mut Context::from_waker(Waker::noop());
        if self.is_idle() && self.poll_read(no_waker).is_ready() {
            self.fail();
        }
        self.is_idle()
    }

    /// `true` if the last exchange is complete and another one may begin, as far as is known without a read.
    pub fn is_idle(&self) -> bool {
        matches!(self.receiving, Receiving::Nothing)
            && self.is_kept
            && self.is_sent()
            && !self.sending.has_failed()
            && self.received.bytes.is_empty()
    }

    /// Takes a request, which the next calls send. Must only be called on an idle connection.
    pub fn send(&mut self, request: Request<B>) {
        debug_assert!(self.is_idle(), "an exchange is running");
        self.has_received = false;
        let method = request.method();
        if *method == Method::CONNECT {
            self.receiving = Receiving::Refused(Error::Connect);
            return;
        }
        self.receiving = Receiving::Head {
            is_head: *method == Method::HEAD,
            interims: 0,
        };
        self.is_kept = !asks_for_close(request.headers());
        self.spare = self.sending.start(request);
    }

    /// Returns the next head of the response. Sends as much of the request as possible, whether a head has arrived or
    /// not.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<ResponseHead, B>> {
        let outcome = match self.sending.poll(&mut self.stream, cx) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => {
                let head = ready!(self.poll_receive_head(cx));
                head.map_err(|error| ExchangeError::Connection(self.explain(error)))
            }
        };
        if outcome.is_err() {
            self.fail();
        }
        Poll::Ready(outcome)
    }

    /// Returns the next frame of the response's body; `None` after its end. Sends as much of the request as possible.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outcome<Frame<Bytes>, B>>> {
        if !matches!(self.receiving, Receiving::Body(_)) {
            return Poll::Ready(None);
        }
        let frame = match self.sending.poll(&mut self.stream, cx) {
            Poll::Ready(Err(error)) => Some(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => {
                let frame = ready!(self.poll_receive_frame(cx));
                frame.map_err(ExchangeError::Connection).transpose()
            }
        };
        if matches!(frame, Some(Err(_))) {
            self.fail();
        }
        Poll::Ready(frame)
    }

    /// Sends the rest of the request after the end of the response. Ready when the request is sent, or when this is no
    /// longer possible.
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.sending.poll(&mut self.stream, cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(()),
            Poll::Ready(Err(_)) => {}
            // Bytes or an end belong to no request.
            Poll::Pending => drop(ready!(self.poll_read(cx))),
        }
        self.fail();
        Poll::Ready(())
    }

    /// Takes the byte stream after a response with the status 101. `None` after any other response.
    pub fn into_upgraded(self) -> Option<Upgraded<S>> {
        let is_switched = matches!(self.receiving, Receiving::Switched);
        is_switched.then(|| Upgraded::new(self.stream, self.received.bytes.freeze()))
    }

    /// Reads once and records what happened. Returns the number of bytes, which is 0 at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Error>> {
        let read = ready!(self.received.poll_fill(&mut self.stream, cx));
        self.has_received |= read.as_ref().is_ok_and(|read| *read > 0);
        Poll::Ready(read.map_err(Error::Io))
    }

    fn poll_receive_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Error>> {
        match std::mem::replace(&mut self.receiving, Receiving::Failed) {
            Receiving::Refused(error) => return Poll::Ready(Err(error)),
            head @ Receiving::Head { .. } => self.receiving = head,
            _ => return Poll::Ready(Err(Error::NoResponse)),
        }
        loop {
            let received = &mut self.received.bytes;
            if let Some(head) = self.parser.take(received, &mut self.spare)? {
                match self.accept(head)? {
                    Some(head) => return Poll::Ready(Ok(head)),
                    None => continue,
                }
            }
            match self.poll_read(cx)? {
                Poll::Ready(0) => {
                    let error = self.sending.take_error().map(Error::Io);
                    return Poll::Ready(Err(error.unwrap_or(Error::NoResponse)));
                }
                Poll::Ready(_) => {}
                Poll::Pending => match self.sending.take_error() {
                    Some(error) => return Poll::Ready(Err(Error::Io(error))),
                    None => return Poll::Pending,
                },
            }
        }
    }

    /// Says that the server did not speak HTTP, if the connection ended after bytes that cannot begin a head, such as a TLS alert.
    /// The parser waits for an empty line, which never comes.
    fn explain(&self, error: Error) -> Error {
        let is_end = matches!(error, Error::NoResponse | Error::Io(_));
        if is_end && is_no_head(&self.received.bytes) {
            Error::Head(httparse::Error::Version)
        } else {
            error
        }
    }

    /// Decides what follows a head. `None` if it is dropped.
    fn accept(&mut self, response: Response<()>) -> Result<Option<ResponseHead>, Error> {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            // The rest of the request would look like bytes of the new protocol.
            if !self.is_sent() || self.sending.has_failed() {
                return Err(Error::EarlySwitch);
            }
            self.receiving = Receiving::Switched;
            return Ok(Some(ResponseHead::Final(response)));
        }
        let Receiving::Head { is_head, interims } = &mut self.receiving else {
            return Err(Error::NoResponse);
        };
        if status.is_informational() {
            *interims += 1;
            let is_returned = *interims <= INTERIM_COUNT;
            return Ok(is_returned.then_some(ResponseHead::Interim(response)));
        }
        let framing = ResponseFraming::of(&response, *is_head)?;
        self.is_kept &= keeps_alive(&response);
        let decoder = BodyDecoder::new(framing);
        self.receiving = if decoder.is_over() {
            Receiving::Nothing
        } else {
            if let Some(length) = decoder.size_hint().exact() {
                let missing = length.saturating_sub(self.received.bytes.len() as u64);
                self.received.expect(missing);
            }
            Receiving::Body(decoder)
        };
        Ok(Some(ResponseHead::Final(response)))
    }

    fn poll_receive_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, Error>> {
        loop {
            let Receiving::Body(decoder) = &mut self.receiving else {
                return Poll::Ready(Ok(None));
            };
            let frame = match decoder.decode(&mut self.received.bytes)? {
                Part::Data(data) => Some(Frame::data(data)),
                Part::Trailers(trailers) => Some(Frame::trailers(trailers)),
                Part::End => None,
                Part::Missing => {
                    let read = ready!(self.received.poll_fill(&mut self.stream, cx));
                    if read.map_err(Error::Io)? > 0 {
                        continue;
                    }
                    decoder.end()?;
                    self.is_kept = false;
                    None
                }
            };
            if decoder.is_over() {
                self.receiving = Receiving::Nothing;
                self.received.shrink();
            }
            return Poll::Ready(Ok(frame));
        }
    }

    /// Makes the connection unusable, and drops the upload.
    fn fail(&mut self) {
        self.receiving = Receiving::Failed;
        self.sending.stop();
        self.is_kept = false;
    }
}

impl<S, B> Connection<S, B> {
    /// `true` if all of the request is sent, or nothing more of it can be sent.
    pub fn is_sent(&self) -> bool {
        self.sending.is_over()
    }

    /// `true` if the response is complete, or has switched to another protocol.
    pub fn is_received(&self) -> bool {
        matches!(self.receiving, Receiving::Nothing | Receiving::Switched)
    }

    /// `true` if any byte has arrived since the last call of [`Self::send`].
    pub fn has_received(&self) -> bool {
        self.has_received
    }

    /// Number of bytes of the response's body that are still to come.
    pub fn size_hint(&self) -> SizeHint {
        match &self.receiving {
            Receiving::Body(decoder) => decoder.size_hint(),
            Receiving::Nothing | Receiving::Switched => SizeHint::with_exact(0),
            Receiving::Head { .. } | Receiving::Refused(_) | Receiving::Failed => {
                SizeHint::default()
            }
        }
    }
}

impl<S, B> fmt::Debug for Connection<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("receiving", &self.receiving)
            .field("is_kept", &self.is_kept)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};
    use tokio::io::AsyncReadExt;

    use super::super::scripted_stream::ScriptedStream;
    use super::*;

    type TestBody = BoxBody<Bytes, Infallible>;
    type TestConnection = Connection<ScriptedStream, TestBody>;

    fn get() -> Request<TestBody> {
        Request::new(Empty::new().boxed())
    }

    fn put(body: TestBody) -> Request<TestBody> {
        let request = Request::put("/").header("trailer", "x-sum");
        request.body(body).unwrap()
    }

    fn full(data: impl Into<Bytes>) -> TestBody {
        Full::new(data.into()).boxed()
    }

    /// A body of these frames, which then never ends.
    fn unending(frames: Vec<Frame<Bytes>>) -> TestBody {
        use futures_util::StreamExt;
        let frames = futures_util::stream::iter(frames.into_iter().map(Ok));
        let frames = frames.chain(futures_util::stream::pending());
        BodyExt::boxed(StreamBody::new(frames))
    }

    fn connect(stream: ScriptedStream) -> TestConnection {
        Connection::new(stream, FieldCase::Lower)
    }

    /// A connection over `stream`, on which a GET has been taken.
    fn asked(stream: ScriptedStream) -> TestConnection {
        let mut connection = connect(stream);
        connection.send(get());
        connection
    }

    type Failure = ExchangeError<Infallible>;

    /// All of a response.
    #[derive(Debug, Default, PartialEq)]
    struct Received {
        interims: Vec<StatusCode>,
        status: StatusCode,
        fields: HeaderMap,
        data: Vec<u8>,
        trailers: Option<HeaderMap>,
    }

    /// Number of polls after which nothing more is expected to happen.
    const POLLS: usize = 100_000;

    fn head(connection: &mut TestConnection) -> Option<Result<ResponseHead, Failure>> {
        let cx = &mut Context::from_waker(Waker::noop());
        (0..POLLS).find_map(|_| match connection.poll_head(cx) {
            Poll::Ready(head) => Some(head),
            Poll::Pending => None,
        })
    }

    /// Reads the whole response. `None` if it does not end.
    fn receive(connection: &mut TestConnection) -> Option<Result<Received, Failure>> {
        let mut received = Received::default();
        loop {
            match head(connection)? {
                Ok(ResponseHead::Interim(head)) => received.interims.push(head.status()),
                Ok(ResponseHead::Final(head)) => {
                    received.status = head.status();
                    received.fields = head.headers().clone();
                    break;
                }
                Err(error) => return Some(Err(error)),
            }
        }
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..POLLS {
            match connection.poll_frame(cx) {
                Poll::Ready(None) => return Some(Ok(received)),
                Poll::Ready(Some(Err(error))) => return Some(Err(error)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => received.data.extend_from_slice(&data),
                    Err(frame) => received.trailers = frame.into_trailers().ok(),
                },
                Poll::Pending => {}
            }
        }
        None
    }

    const RESPONSES: [(&str, &str, bool); 10] = [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "hello",
            true,
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", true),
        (
            "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n",
            "",
            true,
        ),
        (
            "HTTP/1.1 304 Not Modified\r\ntransfer-encoding: x\r\n\r\n",
            "",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
            "hello!",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n",
            "ok",
            true,
        ),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 \r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            "ok",
            true,
        ),
        (
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
            "ok",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
            "ok",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "ok",
            false,
        ),
    ];

    #[test]
    fn a_response_is_the_same_wherever_it_is_cut() {
        for (text, data, is_kept) in RESPONSES {
            let bytes = text.as_bytes();
            let mut connection = asked(ScriptedStream::of([bytes]));
            let whole = receive(&mut connection).unwrap().unwrap();
            assert_eq!(whole.data, data.as_bytes(), "{text:?}");
            assert_eq!(connection.is_idle(), is_kept, "{text:?}");
            let cuts = (1..bytes.len()).map(|cut| bytes.split_at(cut));
            let cut_once = cuts.map(|(first, second)| vec![first, second]);
            for pieces in cut_once.chain([bytes.chunks(1).collect()]) {
                let mut connection = asked(ScriptedStream::of(pieces));
                let seen = receive(&mut connection).unwrap().unwrap();
                assert_eq!(seen, whole, "{text:?}");
                assert_eq!(connection.is_idle(), is_kept, "{text:?}");
            }
        }
    }

    #[test]
    fn a_response_that_ends_early_fails_wherever_it_is_cut() {
        for (text, ..) in RESPONSES {
            for cut in 0..text.len() {
                let mut connection = asked(ScriptedStream::ending([&text[..cut]]));
                assert!(receive(&mut connection).unwrap().is_err(), "{text:?} {cut}");
                assert!(!connection.is_idle());
            }
        }
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        for text in [
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "HTTP/1.0 200 OK\r\n\r\nhello",
        ] {
            let mut connection = asked(ScriptedStream::ending(text.as_bytes().chunks(1)));
            assert_eq!(receive(&mut connection).unwrap().unwrap().data, b"hello");
            assert!(connection.is_received() && !connection.is_idle());
        }
    }

    #[test]
    fn a_request_is_the_same_however_it_is_written() {
        let trailers = || HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
        let chunked = || {
            let data = [Bytes::from_static(b"ab"), Bytes::from(vec![b'x'; 5000])];
            let frames = data.map(Frame::data).into_iter();
            let frames = frames.chain([Frame::trailers(trailers())]);
            let frames: Vec<_> = frames.map(Ok).collect();
            put(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(
                frames,
            ))))
        };
        let requests: [fn() -> Request<TestBody>; 3] =
            [get, || put(full("abc")), || put(full(vec![b'x'; 5000]))];
        let requests = requests.iter().map(|request| request()).chain([chunked()]);
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        for (number, request) in requests.enumerate() {
            let again = |limit: usize| {
                let requests: [Request<TestBody>; 4] = [
                    get(),
                    put(full("abc")),
                    put(full(vec![b'x'; 5000])),
                    chunked(),
                ];
                let mut stream = ScriptedStream::default();
                stream.limit_writes(limit);
                let mut connection = connect(stream);
                connection.send(requests.into_iter().nth(number).unwrap());
                let cx = &mut Context::from_waker(Waker::noop());
                while !connection.is_sent() {
                    assert!(connection.poll_head(cx).is_pending());
                }
                connection.stream.add(answer);
                assert_eq!(receive(&mut connection).unwrap().unwrap().data, b"ok");
                assert!(connection.is_idle());
                connection.stream.written
            };
            let mut whole = connect(ScriptedStream::of([answer]));
            whole.send(request);
            receive(&mut whole).unwrap().unwrap();
            let expected = whole.stream.written;
            for limit in (1..200).chain([4999, 5000, 5001, 5020]) {
                assert!(again(limit) == expected, "{number} {limit}");
            }
            let seen = String::from_utf8(expected).unwrap();
            let end = [
                "\r\n\r\n",
                "\r\n\r\nabc",
                "xxx",
                "\r\n0\r\nx-sum: 1\r\n\r\n",
            ][number];
            assert!(seen.ends_with(end), "{seen}");
        }
    }

    #[test]
    fn a_head_and_a_small_body_leave_in_one_write() {
        let mut connection = connect(ScriptedStream::default());
        connection.send(put(full("abc")));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(connection.poll_head(cx).is_pending() && connection.is_sent());
        assert_eq!(
            (connection.stream.writes, connection.stream.vectored_writes),
            (1, 0)
        );
    }

    #[test]
    fn the_answer_to_head_has_no_body() {
        let mut connection = connect(ScriptedStream::of([
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
        ]));
        let mut request = get();
        *request.method_mut() = Method::HEAD;
        connection.send(request);
        assert_eq!(receive(&mut connection).unwrap().unwrap().data, b"");
        assert!(connection.is_idle());
    }

    #[test]
    fn bytes_after_a_response_end_its_connection() {
        for (text, ..) in RESPONSES {
            let evil = format!("{text}HTTP/1.1 200 OK\r\n\r\n");
            let mut connection = asked(ScriptedStream::of([evil.as_bytes()]));
            receive(&mut connection).unwrap().unwrap();
            assert!(!connection.is_idle() && !connection.check(), "{text:?}");
        }
    }

    #[test]
    fn an_idle_connection_that_ends_or_gets_bytes_is_noticed() {
        let mut silent = connect(ScriptedStream::default());
        assert!(silent.check() && silent.check());
        for stream in [
            ScriptedStream::ending([""; 0]),
            ScriptedStream::of(["HTTP"]),
        ] {
            let mut connection = connect(stream);
            // The stream yields what it has after a pending read.
            assert!(!(0..3).all(|_| connection.check()));
            assert!(!connection.is_idle());
        }
    }

    #[test]
    fn an_idle_connection_keeps_no_memory_of_a_large_response() {
        let body = "x".repeat(200_000);
        let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n{body}");
        let chunks = format!("30d40\r\n{body}\r\n0\r\n\r\n");
        let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
        for text in [large, chunked] {
            let mut connection = asked(ScriptedStream::of([text]));
            let received = receive(&mut connection).unwrap().unwrap();
            assert_eq!(received.data.len(), 200_000);
            assert!(connection.is_idle());
            assert_eq!(connection.received.bytes.capacity(), 0);
        }
    }

    #[test]
    fn a_request_that_asks_for_close_is_the_last_one() {
        let mut connection = connect(ScriptedStream::of([RESPONSES[0].0]));
        let mut request = get();
        let close = "close".parse().unwrap();
        request.headers_mut().insert("connection", close);
        connection.send(request);
        receive(&mut connection).unwrap().unwrap();
        assert!(!connection.is_idle());
    }

    #[test]
    fn connections_carry_one_exchange_after_the_other() {
        let mut connection = connect(ScriptedStream::default());
        for number in 0..10 {
            assert!(connection.check());
            connection.send(put(full(number.to_string())));
            assert!(!connection.is_idle() && !connection.has_received());
            connection.stream.add(RESPONSES[number % 7].0);
            receive(&mut connection).unwrap().unwrap();
            assert!(connection.has_received());
        }
    }

    #[test]
    fn a_response_may_end_before_its_request() {
        let mut connection = connect(ScriptedStream::of([RESPONSES[0].0]));
        let data = Frame::data(Bytes::from_static(b"abc"));
        connection.send(put(unending(vec![data])));
        assert_eq!(receive(&mut connection).unwrap().unwrap().data, b"hello");
        assert!(connection.is_received() && !connection.is_sent() && !connection.is_idle());
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(connection.poll_sent(cx).is_pending());
        connection.stream.end();
        while connection.poll_sent(cx).is_pending() {}
        assert!(connection.is_sent() && !connection.is_idle());
    }

    #[test]
    fn a_response_that_has_arrived_is_read_although_the_request_cannot_be_sent() {
        let mut stream = ScriptedStream::ending([RESPONSES[0].0]);
        stream.is_broken = true;
        let mut connection = connect(stream);
        connection.send(put(full("abc")));
        let error = head(&mut connection).unwrap().unwrap_err();
        assert!(
            matches!(error, ExchangeError::Connection(Error::Io(_))),
            "nothing is there yet"
        );

        let mut stream = ScriptedStream::ending([RESPONSES[0].0]);
        stream.is_broken = true;
        let mut connection = connect(stream);
        let cx = &mut Context::from_waker(Waker::noop());
        let read = connection.received.poll_fill(&mut connection.stream, cx);
        assert!(read.is_pending());
        connection.send(put(full("abc")));
        assert_eq!(receive(&mut connection).unwrap().unwrap().data, b"hello");
        assert!(!connection.is_idle());
    }

    #[test]
    fn a_switch_of_protocols_hands_over_the_bytes_behind_it() {
        let switch = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nearly";
        let mut connection = asked(ScriptedStream::of([switch]));
        let head = head(&mut connection).unwrap().unwrap();
        assert!(matches!(head, ResponseHead::Final(head) if head.status() == 101));
        assert!(!connection.is_idle());
        let mut upgraded = connection.into_upgraded().unwrap();
        let mut early = [0; 5];
        let read = std::pin::pin!(upgraded.read_exact(&mut early));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(Future::poll(read, cx).is_ready());
        assert_eq!(&early, b"early");

        let mut other = asked(ScriptedStream::of([RESPONSES[0].0]));
        receive(&mut other).unwrap().unwrap();
        assert!(other.into_upgraded().is_none());
    }

    #[test]
    fn a_switch_before_the_end_of_the_request_fails() {
        let mut connection = connect(ScriptedStream::of([
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ]));
        connection.send(put(unending(Vec::new())));
        let error = head(&mut connection).unwrap().unwrap_err();
        assert!(matches!(
            error,
            ExchangeError::Connection(Error::EarlySwitch)
        ));
    }

    #[test]
    fn interim_responses_are_limited() {
        let interim = "HTTP/1.1 102 Processing\r\n\r\n";
        for count in [INTERIM_COUNT - 1, INTERIM_COUNT, 3 * INTERIM_COUNT] {
            let text = interim.repeat(count) + RESPONSES[0].0;
            let mut connection = asked(ScriptedStream::of([text]));
            let received = receive(&mut connection).unwrap().unwrap();
            assert_eq!(received.interims.len(), count.min(INTERIM_COUNT));
            assert_eq!(received.data, b"hello");
        }
    }

    #[test]
    fn connect_is_not_sent() {
        let mut connection = connect(ScriptedStream::default());
        let mut request = get();
        *request.method_mut() = Method::CONNECT;
        connection.send(request);
        let error = head(&mut connection).unwrap().unwrap_err();
        assert!(matches!(error, ExchangeError::Connection(Error::Connect)));
        assert!(connection.stream.written.is_empty() && !connection.is_idle());
    }

    /// Body that declares four bytes, has three, and then ends or fails.
    struct Short {
        data: Option<Bytes>,
        fails: bool,
    }

    impl Body for Short {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready(match self.data.take() {
                Some(data) => Some(Ok(Frame::data(data))),
                None => self.fails.then_some(Err("gone")),
            })
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(4)
        }
    }

    #[test]
    fn an_upload_that_fails_or_ends_early_never_looks_complete() {
        for fails in [true, false] {
            let mut stream = ScriptedStream::default();
            stream.limit_writes(10);
            let mut connection = Connection::new(stream, FieldCase::Lower);
            let data = Some(Bytes::from_static(b"abc"));
            connection.send(Request::new(Short { data, fails }));
            let cx = &mut Context::from_waker(Waker::noop());
            let Poll::Ready(Err(error)) = connection.poll_head(cx) else {
                panic!("the body is not complete");
            };
            match error {
                ExchangeError::Upload("gone") => assert!(fails),
                ExchangeError::Connection(Error::BodyLength) => assert!(!fails),
                other => panic!("{other:?}"),
            }
            assert!(connection.is_sent() && !connection.is_idle());
            assert!(connection.stream.written.is_empty());
        }
    }
}
