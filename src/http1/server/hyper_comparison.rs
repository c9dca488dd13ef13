//! Comparison with the HTTP/1.1 server of hyper: what this room accepts, hyper accepts too, with the same meaning.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;

use super::request_corpus::{CORPUS, random_message};
use super::{HeadLimits, IncomingBody, ResponseFuture, ServerConnection, ServerError, Service};
use crate::http1::hyper_comparison::count_and_seed;
use crate::http1::scripted_stream::ScriptedStream;

const LIMITS: HeadLimits = HeadLimits {
    size: 8192,
    fields: 100,
};

/// Number of polls of a connection whose stream holds all bytes.
const POLLS: usize = 8;
/// Number of polls of a connection whose stream cuts reads and writes.
const POLLS_OF_CUTS: usize = 1500;

/// A request that the service got.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    method: Method,
    target: String,
    version: Version,
    fields: HeaderMap,
    body: SeenBody,
}

/// Body of a request.
#[derive(Clone, Debug, PartialEq)]
enum SeenBody {
    Arriving,
    Failed,
    /// The body with its trailers.
    Complete(Vec<u8>, Option<HeaderMap>),
}

/// End of a connection.
#[derive(Debug, PartialEq)]
struct Outcome {
    requests: Vec<Seen>,
    /// Statuses of the responses.
    statuses: Vec<String>,
    is_closed: bool,
    /// `true` if something was refused before the service got it.
    is_refused: bool,
}

#[derive(Clone, Default)]
struct Requests(Arc<Mutex<Vec<Seen>>>);

impl Requests {
    /// Records a request and its body, and answers it.
    fn answer<B>(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Response<Empty<Bytes>>> + use<B>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (head, mut body) = request.into_parts();
        let requests = Arc::clone(&self.0);
        requests.lock().push(Seen {
            method: head.method,
            target: head.uri.to_string(),
            version: head.version,
            fields: head.headers,
            body: SeenBody::Arriving,
        });
        async move {
            let (mut data, mut trailers) = (Vec::new(), None);
            let seen = loop {
                match body.frame().await {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(part) => data.extend_from_slice(&part),
                        Err(frame) => trailers = frame.into_trailers().ok(),
                    },
                    Some(Err(_)) => break SeenBody::Failed,
                    None => break SeenBody::Complete(data, trailers),
                }
            };
            requests.lock().last_mut().unwrap().body = seen;
            Response::new(Empty::new())
        }
    }
}

impl Service for Requests {
    type Body = Empty<Bytes>;

    fn call(&self, request: Request<IncomingBody>) -> ResponseFuture<Empty<Bytes>> {
        Box::pin(self.answer(request))
    }

    fn date(&self) -> HeaderValue {
        HeaderValue::from_static("now")
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Polls `future` until it is ready, or nothing more happens after `least` polls.
fn drive<F: Future>(mut future: Pin<&mut F>, least: usize) -> Option<F::Output> {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let cx = &mut Context::from_waker(&waker);
    for turn in 0..10_000 {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Some(output);
        }
        if !woken.0.swap(false, Ordering::Relaxed) && turn > least {
            return None;
        }
    }
    panic!("the connection never rests");
}

/// Statuses of the responses, which have no bodies, among `written`. All refusals count as one status.
fn statuses(written: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(written);
    let lines = text
        .split("\r\n")
        .filter(|line| line.starts_with("HTTP/1."));
    let status = |line: &str| match &line[9..12] {
        status if status.starts_with('4') => "4xx".to_owned(),
        status => status.to_owned(),
    };
    lines.map(status).collect()
}

/// Result of this room for the bytes of `stream`.
fn serve(stream: ScriptedStream, least_polls: usize) -> Outcome {
    let requests = Requests::default();
    let mut connection = ServerConnection::new(stream, requests.clone(), LIMITS);
    let ended = drive(Pin::new(&mut connection), least_polls);
    let (stream, _) = connection.into_stream().unwrap();
    Outcome {
        requests: requests.0.lock().clone(),
        statuses: statuses(&stream.written),
        is_closed: ended.is_some(),
        is_refused: matches!(
            ended,
            Some(Err(ServerError::Refused(_) | ServerError::Http2))
        ),
    }
}

/// Result of hyper for `input`.
fn serve_with_hyper(input: &[u8]) -> Outcome {
    let requests = Requests::default();
    let answers = requests.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answers.answer(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let stream = TokioIo::new(ScriptedStream::of([input]));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.header_read_timeout(None).max_buf_size(LIMITS.size);
    let mut connection = Box::pin(builder.serve_connection(stream, service));
    let ended = drive(connection.as_mut(), POLLS);
    let stream = Pin::into_inner(connection).into_parts().io.into_inner();
    Outcome {
        requests: requests.0.lock().clone(),
        statuses: statuses(&stream.written),
        is_closed: ended.is_some(),
        is_refused: matches!(ended, Some(Err(_))),
    }
}

/// Fails if this room accepts what hyper refuses, or finds another meaning. Returns whether it accepts all of `input` that
/// hyper accepts.
fn compare(input: &[u8]) -> bool {
    let said = String::from_utf8_lossy(input);
    let mut ours = serve(ScriptedStream::of([input]), POLLS);
    let mut hypers = serve_with_hyper(input);
    if ours
        .requests
        .iter()
        .any(|seen| seen.body == SeenBody::Failed)
    {
        // Only hyper asks for a body whose coding is refused.
        ours.statuses.retain(|status| status != "100");
        hypers.statuses.retain(|status| status != "100");
    }
    let both = format!("{said:?}\n{ours:#?}\n{hypers:#?}");
    assert!(ours.requests.len() <= hypers.requests.len(), "{both}");
    let mut is_stricter = false;
    for (our, hyper) in ours.requests.iter().zip(&hypers.requests) {
        assert!(!is_stricter, "no request may follow a refused one: {both}");
        let head = Seen {
            body: hyper.body.clone(),
            ..our.clone()
        };
        assert_eq!(head, *hyper, "{both}");
        if let SeenBody::Complete(..) = our.body {
            assert_eq!(our.body, hyper.body, "{both}");
        }
        is_stricter = our.body == SeenBody::Failed && hyper.body != SeenBody::Failed;
    }
    if is_stricter {
        assert!(ours.is_closed, "{both}");
        return false;
    }
    let is_later = ours
        .requests
        .iter()
        .zip(&hypers.requests)
        .any(|(our, hyper)| our.body == SeenBody::Arriving && hyper.body == SeenBody::Failed);
    if is_later || (ours.is_refused && !hypers.is_refused) {
        return false;
    }
    if ours.is_refused && ours.requests.len() < hypers.requests.len() {
        return false;
    }
    assert_eq!(ours, hypers, "{said:?}");
    !ours.requests.is_empty() && !ours.is_refused
}

#[test]
fn each_request_of_the_corpus_means_the_same() {
    let mut accepted = 0;
    for text in CORPUS {
        for end in 0..=text.len() {
            accepted += usize::from(compare(&text.as_bytes()[..end]));
        }
    }
    assert!(accepted > 50, "{accepted}");
}

#[test]
fn requests_mean_the_same_wherever_they_and_their_responses_are_cut() {
    // The preface of HTTP/2 is known only if it comes at once, to hyper too.
    for text in CORPUS.iter().filter(|text| !text.starts_with("PRI")) {
        let bytes = text.as_bytes();
        let whole = serve(ScriptedStream::of([bytes]), POLLS);
        let cuts = (1..bytes.len()).map(|cut| {
            let (first, second) = bytes.split_at(cut);
            ScriptedStream::of([first, second])
        });
        let limits = (1..100).step_by(9).map(|limit| {
            let mut stream = ScriptedStream::of([bytes]);
            stream.limit_writes(limit);
            stream
        });
        let single = ScriptedStream::of(bytes.chunks(1));
        for stream in cuts.chain(limits).chain([single]) {
            assert_eq!(serve(stream, POLLS_OF_CUTS), whole, "{text:?}");
        }
    }
}

#[test]
fn random_requests_that_are_accepted_mean_the_same() {
    let (count, seed) = count_and_seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut accepted = 0;
    for _ in 0..count {
        accepted += usize::from(compare(&random_message(&mut random)));
    }
    let share = accepted * 100 / count;
    assert!((5..95).contains(&share), "{share} % of seed {seed}");
}
