//! One HTTP/1.1 connection of a client. Must not know what kind of byte stream carries it, nor what answers.

use std::fmt;
use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::Empty;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::{Refusal, ServerError};
use super::on_upgrade::OnUpgrade;
use super::request_parser::{HeadLimits, RequestHead};
use super::response_encoder::AskedResponse;
use super::service::{ResponseFuture, Service};
use super::work::{Outcome, Work};
use crate::http1::upgraded::Upgraded;

/// Number of steps after which other tasks get a turn.
const STEPS: usize = 32;
/// Room for the first bytes of a request on a connection without buffers.
const FIRST_BYTES: usize = 1024;
/// First bytes of a client that speaks HTTP/2 without having asked (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Connection of a client, which answers one request after the other. It is a future that ends with the connection. A
/// connection that waits for its first request, or was parked, has no buffers.
pub struct ServerConnection<S, T: Service> {
    /// `None` after the connection has switched to another protocol.
    stream: Option<S>,
    service: T,
    limits: HeadLimits,
    /// `true` if another request may follow the current one.
    is_kept: bool,
    stage: Stage<T::Body>,
    work: Option<Box<Work<T::Body>>>,
}

/// Position in the exchange.
enum Stage<B: Body> {
    /// Before the end of a request's head.
    Head,
    /// The service makes the response.
    Answering(ResponseFuture<B>),
    /// The response has begun.
    Responding {
        is_switch: bool,
    },
    /// All that is left is to be sent, and then the sending side is closed.
    Closing(Option<ServerError<B::Error>>),
    Over,
}

impl<S, T> ServerConnection<S, T>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T: Service,
{
    /// A connection over `stream`, whose requests `service` answers.
    pub fn new(stream: S, service: T, limits: HeadLimits) -> Self {
        Self {
            stream: Some(stream),
            service,
            limits,
            is_kept: true,
            stage: Stage::Head,
            work: None,
        }
    }

    /// Closes the connection after the first response.
    #[must_use]
    pub fn answering_once(self) -> Self {
        Self {
            is_kept: false,
            ..self
        }
    }

    /// Finishes the request that has begun and accepts no more. Without one, closes the connection.
    pub fn graceful_shutdown(&mut self) {
        self.is_kept = false;
        let work = self.work.as_ref();
        if matches!(self.stage, Stage::Head) && work.is_none_or(|work| work.is_between_requests()) {
            self.stage = Stage::Closing(None);
        }
    }

    /// Frees all memory that is not needed to wait for the next request. Does nothing while the connection is in use.
    pub fn park(&mut self) {
        if let (Stage::Head, Some(work)) = (&self.stage, &self.work)
            && work.received.bytes.is_empty()
        {
            self.work = None;
        }
    }

    /// `true` if the connection has no buffers.
    pub fn is_parked(&self) -> bool {
        self.work.is_none()
    }

    /// Takes the byte stream of a connection that has ended, and `true` if not all that has arrived, or the rest of a
    /// request, was read. `None` if the connection has switched to another protocol.
    pub fn into_stream(self) -> Option<(S, bool)> {
        let has_unread = self.work.is_some_and(|work| {
            !work.received.bytes.is_empty()
                || work.receiving.is_running()
                || work.receiving.is_broken()
        });
        Some((self.stream?, has_unread))
    }

    /// Waits for the head of a request, and has the service answer it.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<(), T::Body>> {
        let Some(stream) = &mut self.stream else {
            self.stage = Stage::Over;
            return Poll::Ready(Ok(()));
        };
        let work = match &mut self.work {
            Some(work) => work,
            none => {
                let mut first = [const { MaybeUninit::uninit() }; FIRST_BYTES];
                let mut first = ReadBuf::uninit(&mut first);
                let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut first));
                if read.is_err() || first.filled().is_empty() {
                    self.stage = Stage::Closing(None);
                    return Poll::Ready(Ok(()));
                }
                let work = none.insert(Work::new());
                work.received.bytes.extend_from_slice(first.filled());
                work
            }
        };
        loop {
            let received = &mut work.received.bytes;
            match work.parser.take(received, &mut work.spare, self.limits) {
                Ok(Some(head)) => {
                    self.begin(head, cx);
                    return Poll::Ready(Ok(()));
                }
                Ok(None) => {}
                Err(refusal) => return Poll::Ready(self.refuse(refusal)),
            }
            let read = ready!(work.received.poll_fill(stream, cx));
            if matches!(read, Ok(read) if read > 0) {
                continue;
            }
            if work.is_between_requests() {
                self.stage = Stage::Closing(None);
                return Poll::Ready(Ok(()));
            }
            return Poll::Ready(Err(match read {
                Ok(_) => ServerError::CutHead,
                Err(error) => ServerError::Io(error),
            }));
        }
    }

    /// Has the service answer the request with this head.
    fn begin(&mut self, head: RequestHead, cx: &Context<'_>) {
        let Some(work) = &mut self.work else {
            return;
        };
        let RequestHead {
            mut request,
            meaning,
            framing,
        } = head;
        self.is_kept &= meaning.keeps_alive();
        let version = meaning.version;
        work.asked = AskedResponse::new(request.method(), version, meaning.takes_trailers);
        work.upgrade = meaning.asks_for_upgrade.then(|| {
            let (sender, upgrade) = OnUpgrade::new();
            request.extensions_mut().insert(upgrade);
            sender
        });
        let received = &mut work.received;
        let expects = meaning.expects_continue;
        let limits = self.limits;
        let receiving = &mut work.receiving;
        let body = receiving.begin(framing, expects, limits, received, cx);
        let request = request.map(|()| body);
        self.stage = Stage::Answering(self.service.call(request));
    }

    /// Refuses what the client has sent.
    fn refuse(&mut self, refusal: Refusal) -> Outcome<(), T::Body> {
        let Some(work) = &mut self.work else {
            return Ok(());
        };
        let received = &work.received.bytes;
        let start = received
            .iter()
            .position(|byte| !matches!(byte, b'\r' | b'\n'));
        if received[start.unwrap_or_default()..].starts_with(HTTP2_PREFACE) {
            return Err(ServerError::Http2);
        }
        let mut response = Response::new(Empty::<Bytes>::new());
        *response.status_mut() = refusal.status();
        let out = work.sending.buffer();
        let date = || self.service.date();
        AskedResponse::unknown().write_head(&response, false, date, out);
        self.stage = Stage::Closing(Some(refusal.into()));
        Ok(())
    }

    /// Answers a request.
    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<(), T::Body>> {
        loop {
            if let Stage::Answering(response) = &mut self.stage
                && let Poll::Ready(response) = response.as_mut().poll(cx)
            {
                self.respond(response, cx);
            }
            let (Some(stream), Some(work)) = (&mut self.stream, &mut self.work) else {
                return Poll::Ready(Ok(()));
            };
            if let Poll::Ready(sent) = work.poll_send(stream, cx) {
                sent?;
            }
            let mut out = None;
            if matches!(self.stage, Stage::Answering(_)) {
                out = Some(work.sending.buffer());
            }
            let received = &mut work.received;
            if work.receiving.feed(stream, received, out, cx) {
                continue;
            }
            self.is_kept &= !work.receiving.is_broken();
            if work.receiving.is_running() {
                return Poll::Pending;
            }
            if let Stage::Responding { is_switch } = self.stage
                && work.sending.is_over()
            {
                self.end_exchange(is_switch);
                return Poll::Ready(Ok(()));
            }
            if work.receiving.is_broken() || !work.received.bytes.is_empty() {
                return Poll::Pending;
            }
            // Shows whether the client is still there. A next request waits for its turn.
            let read = ready!(work.received.poll_fill(stream, cx));
            match read {
                Ok(0) => return Poll::Ready(Err(ServerError::Left)),
                Ok(_) => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(ServerError::Io(error))),
            }
        }
    }

    /// Begins to send a response.
    fn respond(&mut self, mut response: Response<T::Body>, cx: &Context<'_>) {
        let Some(work) = &mut self.work else {
            return;
        };
        let status = response.status();
        let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
        if status.is_informational() && !is_switch {
            // No other response would follow.
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        work.receiving.notice_drop(&mut work.received, cx);
        let is_kept = self.is_kept && !work.receiving.is_broken();
        let out = work.sending.buffer();
        let date = || self.service.date();
        let begun = work.asked.write_head(&response, is_kept, date, out);
        let (parts, body) = response.into_parts();
        work.spare = parts.headers;
        work.spare.clear();
        if let Some(encoder) = begun.encoder {
            work.sending.set_body(body, encoder);
        }
        self.is_kept &= !begun.is_last;
        self.stage = Stage::Responding { is_switch };
    }

    /// Decides what follows a response that is sent.
    fn end_exchange(&mut self, is_switch: bool) {
        self.stage = if self.is_kept {
            Stage::Head
        } else {
            Stage::Closing(None)
        };
        let Some(work) = &mut self.work else {
            return;
        };
        if let Some(upgrade) = work.upgrade.take()
            && is_switch
            && !work.receiving.is_broken()
            && let Some(stream) = self.stream.take()
        {
            let early = std::mem::take(&mut work.received.bytes).freeze();
            // Without a receiver, the connection is closed.
            let _ = upgrade.send(Upgraded::new(Box::new(stream), early));
            self.stage = Stage::Over;
        }
    }

    /// Sends what is left, and closes the sending side.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<(), T::Body>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Ok(()));
        };
        if let Some(work) = &mut self.work {
            ready!(work.poll_send(stream, cx))?;
        }
        ready!(Pin::new(stream).poll_shutdown(cx)).map_err(ServerError::Io)?;
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Closing(Some(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<S, T> Future for ServerConnection<S, T>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T: Service + Unpin,
    <T::Body as Body>::Error: Unpin,
{
    type Output = Result<(), ServerError<<T::Body as Body>::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        for _ in 0..STEPS {
            match &this.stage {
                Stage::Head => ready!(this.poll_head(cx))?,
                Stage::Answering(_) | Stage::Responding { .. } => {
                    ready!(this.poll_exchange(cx))?;
                }
                Stage::Closing(_) => ready!(this.poll_close(cx))?,
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S, T: Service> fmt::Debug for ServerConnection<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConnection")
            .field("is_kept", &self.is_kept)
            .field("is_parked", &self.work.is_none())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use futures_util::StreamExt;
    use http::{HeaderValue, Method, Request};
    use http_body::Frame;
    use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
    use parking_lot::Mutex;
    use tokio::io::AsyncReadExt;

    use super::super::incoming_body::IncomingBody;
    use super::super::request_parser::CutTarget;
    use super::*;
    use crate::http1::Error;
    use crate::http1::scripted_stream::ScriptedStream;

    type TestBody = BoxBody<Bytes, Infallible>;
    type Answer<B> = Box<dyn Fn(Request<IncomingBody>) -> ResponseFuture<B>>;

    struct TestService<B>(Answer<B>);

    impl<B: Body<Data = Bytes> + Unpin> Service for TestService<B> {
        type Body = B;

        fn call(&self, request: Request<IncomingBody>) -> ResponseFuture<B> {
            (self.0)(request)
        }

        fn date(&self) -> HeaderValue {
            HeaderValue::from_static("now")
        }
    }

    type TestConnection<B = TestBody> = ServerConnection<ScriptedStream, TestService<B>>;

    const LIMITS: HeadLimits = HeadLimits {
        size: 8192,
        fields: 100,
    };

    fn full(data: impl Into<Bytes>) -> Response<TestBody> {
        Response::new(Full::new(data.into()).boxed())
    }

    fn serve<B, F>(
        stream: ScriptedStream,
        answer: impl Fn(Request<IncomingBody>) -> F + 'static,
    ) -> TestConnection<B>
    where
        B: Body<Data = Bytes> + Unpin,
        F: Future<Output = Response<B>> + Send + 'static,
    {
        let answer = TestService(Box::new(move |request| Box::pin(answer(request)) as _));
        ServerConnection::new(stream, answer, LIMITS)
    }

    /// Serves with a service that answers at once with the path.
    fn echo_path(stream: ScriptedStream) -> TestConnection {
        serve(stream, |request| {
            let response = full(request.uri().path().to_owned());
            async { response }
        })
    }

    /// Serves with a service that answers with the body of the request, once it has all of it.
    fn echo(stream: ScriptedStream) -> TestConnection {
        serve(stream, |request| async {
            match request.into_body().collect().await {
                Ok(body) => full(body.to_bytes()),
                Err(error) => full(error.to_string()),
            }
        })
    }

    type Ended<B> = Option<Outcome<(), B>>;

    /// Polls the connection until it has ended, or nothing more is expected to happen.
    fn drive<B>(connection: &mut TestConnection<B>) -> Ended<B>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Unpin,
    {
        let cx = &mut Context::from_waker(Waker::noop());
        (0..1000).find_map(|_| match Pin::new(&mut *connection).poll(cx) {
            Poll::Ready(ended) => Some(ended),
            Poll::Pending => None,
        })
    }

    fn stream<B>(connection: &mut TestConnection<B>) -> &mut ScriptedStream
    where
        B: Body<Data = Bytes> + Unpin,
    {
        connection.stream.as_mut().unwrap()
    }

    /// Bytes for the client, without the `Date`.
    fn written<B>(connection: &mut TestConnection<B>) -> String
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let written = std::mem::take(&mut stream(connection).written);
        String::from_utf8(written)
            .unwrap()
            .replace("date: now\r\n", "")
    }

    const GET: &str = "GET /a HTTP/1.1\r\n\r\n";
    const OK_A: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/a";
    const POST: &str = "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n";

    #[test]
    fn one_request_is_answered_after_the_other() {
        let pipelined = [GET, "\r\nGET /b HTTP/1.1\r\n\r\n", GET].concat();
        let mut connection = echo_path(ScriptedStream::of([pipelined]));
        assert!(drive(&mut connection).is_none());
        let answers = written(&mut connection);
        assert_eq!(answers.matches("/a").count(), 2, "{answers}");
        assert_eq!(answers.matches("/b").count(), 1, "{answers}");

        for _ in 0..3 {
            stream(&mut connection).add(GET);
            assert!(drive(&mut connection).is_none());
            assert_eq!(written(&mut connection), OK_A);
        }
        stream(&mut connection).end();
        assert!(matches!(drive(&mut connection), Some(Ok(()))));
        assert!(stream(&mut connection).is_shut_down);
    }

    #[test]
    fn endless_pipelining_lets_other_tasks_run() {
        let mut connection = echo_path(ScriptedStream::of([GET.repeat(1000)]));
        let cx = &mut Context::from_waker(Waker::noop());
        let mut polls = 0;
        let expected = 1000 * (OK_A.len() + "date: now\r\n".len());
        while stream(&mut connection).written.len() < expected {
            assert!(Pin::new(&mut connection).poll(cx).is_pending());
            polls += 1;
        }
        assert!(polls > 1000 / STEPS, "{polls}");
    }

    #[test]
    fn a_head_and_a_small_body_leave_in_one_write() {
        let mut connection = echo_path(ScriptedStream::of([GET]));
        assert!(drive(&mut connection).is_none());
        let stream = stream(&mut connection);
        assert_eq!((stream.writes, stream.vectored_writes), (1, 0));
    }

    #[test]
    fn a_client_that_closes_the_connection_gets_one_answer() {
        for (request, answer) in [
            (
                "GET /a HTTP/1.1\r\nconnection: close\r\n\r\n",
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n/a",
            ),
            (
                "GET /a HTTP/1.0\r\n\r\n",
                "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n/a",
            ),
        ] {
            let pipelined = [request, GET].concat();
            let mut connection = echo_path(ScriptedStream::of([pipelined]));
            assert!(matches!(drive(&mut connection), Some(Ok(()))));
            assert_eq!(written(&mut connection), answer);
            assert!(stream(&mut connection).is_shut_down);
            let (_, has_unread) = connection.into_stream().unwrap();
            assert!(has_unread);
        }
        let mut once = echo_path(ScriptedStream::of([GET])).answering_once();
        assert!(matches!(drive(&mut once), Some(Ok(()))));
        assert!(!once.into_stream().unwrap().1);
    }

    #[test]
    fn the_end_of_the_client_is_told_from_a_cut_head() {
        for (sent, is_cut) in [
            ("", false),
            ("\r\n", false),
            ("G", true),
            ("\r\nGET /", true),
        ] {
            let mut connection = echo_path(ScriptedStream::ending([sent]));
            let ended = drive(&mut connection).unwrap();
            assert_eq!(
                matches!(ended, Err(ServerError::CutHead)),
                is_cut,
                "{sent:?}"
            );
            assert_eq!(ended.is_ok(), !is_cut, "{sent:?}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(8192));
        for (sent, status) in [
            ("GET / HTTP/1.1\r\nx y\r\n\r\n", "400 Bad Request"),
            (&large, "431 Request Header Fields Too Large"),
        ] {
            let mut connection = echo_path(ScriptedStream::of([sent]));
            let ended = drive(&mut connection).unwrap();
            assert!(matches!(ended, Err(ServerError::Refused(_))));
            let fields = "content-length: 0\r\nconnection: close\r\n\r\n";
            let expected = format!("HTTP/1.1 {status}\r\n{fields}");
            assert_eq!(written(&mut connection), expected);
            assert!(stream(&mut connection).is_shut_down);
        }
        let preface = ScriptedStream::of([HTTP2_PREFACE]);
        let mut connection = echo_path(preface);
        assert!(matches!(
            drive(&mut connection),
            Some(Err(ServerError::Http2))
        ));
        assert_eq!(written(&mut connection), "");
    }

    #[test]
    fn a_body_is_read_when_the_service_reads_it() {
        for pieces in [
            &[POST, "hello"][..],
            &[&[POST, "hello"].concat()],
            &[POST, "he", "llo"],
        ] {
            let mut connection = echo(ScriptedStream::of(pieces));
            assert!(drive(&mut connection).is_none());
            let expected = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
            assert_eq!(written(&mut connection), expected);
            stream(&mut connection).add(GET);
            assert!(drive(&mut connection).is_none());
            assert!(written(&mut connection).starts_with("HTTP/1.1 200 OK\r\n"));
        }
        let mut cut = echo(ScriptedStream::ending([POST, "hell"]));
        assert!(matches!(drive(&mut cut), Some(Ok(()))));
        let answer = written(&mut cut);
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert!(answer.ends_with(&Error::CutBody.to_string()), "{answer}");
    }

    #[test]
    fn a_client_is_asked_for_its_body_only_if_the_service_reads_it() {
        const EXPECTING: &str =
            "POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
        let mut connection = echo(ScriptedStream::of([EXPECTING]));
        assert!(drive(&mut connection).is_none());
        assert_eq!(written(&mut connection), "HTTP/1.1 100 Continue\r\n\r\n");
        stream(&mut connection).add("hello");
        assert!(drive(&mut connection).is_none());
        assert!(written(&mut connection).ends_with("\r\n\r\nhello"));

        let mut refused = echo_path(ScriptedStream::of([EXPECTING, "hello"]));
        assert!(matches!(drive(&mut refused), Some(Ok(()))));
        let answer = written(&mut refused);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }

    #[test]
    fn a_body_that_nobody_reads_is_skipped_if_it_has_arrived() {
        let whole = [POST, "hello", GET].concat();
        let mut connection = echo_path(ScriptedStream::of([whole]));
        assert!(drive(&mut connection).is_none());
        assert!(written(&mut connection).ends_with(OK_A));

        let part = [POST, "hell"].concat();
        let mut connection = echo_path(ScriptedStream::of([&part, "o", GET]));
        assert!(matches!(drive(&mut connection), Some(Ok(()))));
        let answer = written(&mut connection);
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 1, "{answer}");
    }

    #[test]
    fn a_request_with_several_codings_reaches_the_service_without_its_body() {
        let coded = "POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
        let mut connection = echo(ScriptedStream::of([&[coded, GET].concat()]));
        assert!(matches!(drive(&mut connection), Some(Ok(()))));
        let answer = written(&mut connection);
        assert!(
            answer.ends_with(&Error::UnknownCoding.to_string()),
            "{answer}"
        );
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_body_can_be_read_by_another_task_after_the_response() {
        let taken = Arc::new(Mutex::new(None));
        let body = Arc::clone(&taken);
        let mut connection = serve(ScriptedStream::of([POST]), move |request| {
            *body.lock() = Some(request.into_body());
            async { full("early") }
        });
        let (ours, theirs) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
        let (our_waker, their_waker) = (Arc::clone(&ours).into(), Arc::clone(&theirs).into());
        let cx = &mut Context::from_waker(&our_waker);
        let other = &mut Context::from_waker(&their_waker);
        for _ in 0..3 {
            assert!(Pin::new(&mut connection).poll(cx).is_pending());
        }
        assert!(written(&mut connection).ends_with("early"));
        let mut body = taken.lock().take().unwrap();
        assert!(Pin::new(&mut body).poll_frame(other).is_pending());
        assert_eq!(ours.0.load(Ordering::Relaxed), 1);
        stream(&mut connection).add("hello");
        for _ in 0..3 {
            assert!(Pin::new(&mut connection).poll(cx).is_pending());
        }
        assert_eq!(theirs.0.load(Ordering::Relaxed), 1);
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(other) else {
            panic!("the body has arrived");
        };
        assert_eq!(frame.into_data().unwrap(), "hello");
        assert!(body.is_end_stream());

        stream(&mut connection).add([POST, "hel"].concat());
        assert!(drive(&mut connection).is_none());
        drop(taken.lock().take());
        assert!(matches!(drive(&mut connection), Some(Ok(()))));
    }

    #[test]
    fn a_client_that_leaves_ends_the_request() {
        let answering = Arc::new(());
        let held = Arc::clone(&answering);
        let mut connection = serve(ScriptedStream::ending([GET]), move |_| {
            let held = Arc::clone(&held);
            async move {
                let _held = held;
                std::future::pending::<Response<TestBody>>().await
            }
        });
        assert!(matches!(
            drive(&mut connection),
            Some(Err(ServerError::Left))
        ));
        drop(connection);
        assert_eq!(Arc::strong_count(&answering), 1);
    }

    #[test]
    fn a_parked_connection_has_no_buffers_and_serves_the_next_request() {
        let mut connection = echo_path(ScriptedStream::default());
        assert!(drive(&mut connection).is_none() && connection.is_parked());
        for size in [0, 2000] {
            let field = "y".repeat(size);
            let request = format!("GET /a HTTP/1.1\r\nx: {field}\r\n\r\n");
            stream(&mut connection).add(request);
            assert!(drive(&mut connection).is_none());
            assert_eq!(written(&mut connection), OK_A);
            assert!(!connection.is_parked());
            connection.park();
            assert!(connection.is_parked());
        }
        stream(&mut connection).add("GET /a HT");
        assert!(drive(&mut connection).is_none());
        connection.park();
        assert!(!connection.is_parked(), "a head has begun");
        stream(&mut connection).add("TP/1.1\r\n\r\n");
        assert!(drive(&mut connection).is_none());
        assert_eq!(written(&mut connection), OK_A);
        connection.park();
        stream(&mut connection).end();
        assert!(matches!(drive(&mut connection), Some(Ok(()))));
    }

    #[test]
    fn a_shutdown_waits_for_a_request_that_has_begun() {
        for (sent, answers) in [(&[][..], 0), (&["\r\n"], 0), (&["GET /a HT"], 1)] {
            let mut connection = echo_path(ScriptedStream::of(sent));
            assert!(drive(&mut connection).is_none());
            connection.graceful_shutdown();
            if answers > 0 {
                assert!(drive(&mut connection).is_none());
                stream(&mut connection).add("TP/1.1\r\n\r\n");
            }
            assert!(matches!(drive(&mut connection), Some(Ok(()))));
            let answer = written(&mut connection);
            assert_eq!(answer.matches("connection: close").count(), answers);
        }
        let mut idle = echo_path(ScriptedStream::of([GET]));
        assert!(drive(&mut idle).is_none());
        idle.graceful_shutdown();
        assert!(matches!(drive(&mut idle), Some(Ok(()))));
        assert!(stream(&mut idle).is_shut_down);
    }

    #[tokio::test]
    async fn a_switch_of_protocols_hands_over_the_bytes_behind_the_request() {
        let upgrading = "GET / HTTP/1.1\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nearly";
        for is_wanted in [true, false] {
            let upgrades = Arc::new(Mutex::new(None));
            let taken = Arc::clone(&upgrades);
            let mut connection = serve(ScriptedStream::of([upgrading]), move |mut request| {
                *taken.lock() = request.extensions_mut().remove::<OnUpgrade>();
                let mut response = full("");
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                async { response }
            });
            if !is_wanted {
                connection.service = TestService(Box::new(|_| Box::pin(async { full("no") })));
                assert!(drive(&mut connection).is_none());
                assert!(written(&mut connection).ends_with("no"));
                continue;
            }
            assert!(matches!(drive(&mut connection), Some(Ok(()))));
            assert!(connection.into_stream().is_none());
            let upgrade = upgrades.lock().take().unwrap();
            let mut upgraded = upgrade.stream().await.unwrap();
            let mut early = [0; 5];
            upgraded.read_exact(&mut early).await.unwrap();
            assert_eq!(&early, b"early");
        }
    }

    #[test]
    fn a_response_whose_body_fails_never_looks_complete() {
        for frames in [0, 1] {
            let mut connection = serve(ScriptedStream::of([GET]), move |_| async move {
                let frames = (0..frames).map(|_| Ok(Frame::data(Bytes::from_static(b"data"))));
                let failure = futures_util::stream::iter([Err("broken")]);
                let frames = futures_util::stream::iter(frames);
                Response::new(StreamBody::new(frames.chain(failure)))
            });
            let ended = drive(&mut connection);
            assert!(matches!(ended, Some(Err(ServerError::Body("broken")))));
            assert!(!stream(&mut connection).is_shut_down);
            assert!(!written(&mut connection).contains("\r\n0\r\n"));
        }
    }

    #[test]
    fn the_answer_to_head_has_no_body() {
        let head = "HEAD /a HTTP/1.1\r\n\r\n";
        let mut connection = echo_path(ScriptedStream::of([&[head, GET].concat()]));
        assert!(drive(&mut connection).is_none());
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        assert_eq!(written(&mut connection), [head, OK_A].concat());
    }

    #[test]
    fn an_interim_status_is_no_final_response() {
        let mut connection = serve(ScriptedStream::of([GET]), |request| async move {
            assert_eq!(request.method(), Method::GET);
            let mut response = full("");
            *response.status_mut() = StatusCode::EARLY_HINTS;
            response
        });
        assert!(drive(&mut connection).is_none());
        assert!(written(&mut connection).starts_with("HTTP/1.1 500 "));
    }

    /// Sends these pieces one by one; returns the target of each request, with `#` after those that were cut.
    fn targets(pieces: &[&[u8]]) -> Vec<String> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let targets = Arc::clone(&seen);
        let mut connection = serve(ScriptedStream::of(pieces), move |request| {
            let is_cut = request.extensions().get::<CutTarget>().is_some();
            let mark = if is_cut { "#" } else { "" };
            targets.lock().push(format!("{}{mark}", request.uri()));
            async {
                let _ = request.into_body().collect().await;
                full("")
            }
        });
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..3 * pieces.len() + 100 {
            assert!(Pin::new(&mut connection).poll(cx).is_pending());
        }
        let seen = seen.lock();
        seen.clone()
    }

    #[test]
    fn a_fragment_is_found_wherever_the_bytes_are_divided() {
        let requests = "GET /a?b HTTP/1.1\r\nhost: a\r\nx: #\r\n\r\n\
            POST /#c HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n/d #e\
            POST /f HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\n/g#h\r\n0\r\n\r\n\
            GET /i#j HTTP/1.1\nhost:a\n\n\
            GET / HTTP/1.1\r\nhost: a\r\nx: /#\r\n\r\n\
            GET http://a#k HTTP/1.1\r\nhost: a\r\n\r\n\
            GET http://a/l#m HTTP/1.1\r\nhost: a\r\n\r\n\
            GET /n HTTP/1.1\r\nhost: a\r\n\r\n";
        let expected = [
            "/a?b",
            "/#",
            "/f",
            "/i#",
            "/",
            "http://a/#",
            "http://a/l#",
            "/n",
        ];
        for cut in 0..requests.len() {
            let (first, second) = requests.as_bytes().split_at(cut);
            let pieces = [first, second]
                .into_iter()
                .filter(|piece| !piece.is_empty());
            let pieces: Vec<_> = pieces.collect();
            assert_eq!(targets(&pieces), expected, "{cut}");
        }
        let bytes: Vec<_> = requests.as_bytes().chunks(1).collect();
        assert_eq!(targets(&bytes), expected);
    }

    #[test]
    fn a_fragment_is_found_before_a_head_that_fills_the_buffer_and_after_a_long_body() {
        let long = "# ".repeat(3500);
        let head = format!("GET /a#b HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n");
        let body = format!(
            "POST /c HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{long}{long}{long}",
            3 * long.len()
        );
        let all = [head.as_bytes(), body.as_bytes(), head.as_bytes()].concat();
        for size in [1, 7, 100, 4096, all.len()] {
            let pieces: Vec<_> = all.chunks(size).collect();
            assert_eq!(targets(&pieces), ["/a#", "/c", "/a#"], "{size}");
        }
    }
}
