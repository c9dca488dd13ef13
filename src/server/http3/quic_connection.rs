//! A QUIC connection, as the HTTP/3 library wants it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h3::error::Code;
use h3::quic::{Connection, ConnectionErrorIncoming, OpenStreams, StreamErrorIncoming};
use parking_lot::Mutex;
use quinn::{ConnectionError, StoppedError, VarInt};
use tokio_util::sync::ReusableBoxFuture;

use super::frame_scanner::FrameScanner;
use super::quic_streams::{
    QuicBidiStream, QuicRecvStream, QuicSendStream, StreamEnd, connection_error, lost, var_int,
};
use crate::memory::ConnectionMemory;

/// Most unidirectional streams that a client may open, one after the other. It needs three.
const MOST_UNI_STREAMS: u32 = 100;

/// The error of a client that opens too many streams which carry no requests.
#[derive(Debug, thiserror::Error)]
#[error("the client opened too many unidirectional streams")]
struct TooManyStreams;

/// Completes when the client has all of a response, or wants no more of it.
pub(super) type Stopped =
    Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>> + Send + Sync>>;

/// Parts of a stream that the HTTP/3 library does not hand over.
pub(super) struct StreamControl {
    pub(super) stopped: Stopped,
    pub(super) end: StreamEnd,
    /// `true` if it came within the handshake.
    pub(super) is_early: bool,
}

/// The control of the stream that was accepted last.
pub(super) type LastAccepted = Arc<Mutex<Option<StreamControl>>>;

type Accepted<T> = ReusableBoxFuture<'static, Result<T, ConnectionError>>;

/// A QUIC connection of one client.
pub(super) struct QuicConnection {
    quic: quinn::Connection,
    bidirectional: Accepted<(quinn::SendStream, quinn::RecvStream)>,
    unidirectional: Accepted<quinn::RecvStream>,
    uni_streams: u32,
    opener: StreamOpener,
    last_accepted: LastAccepted,
    memory: Arc<ConnectionMemory>,
    /// Largest head of a request.
    most_head: u64,
}

impl QuicConnection {
    /// Adapts `quic`. Heads that are not complete hold `memory`, and are refused from `most_head` bytes on.
    pub(super) fn new(
        quic: quinn::Connection,
        memory: Arc<ConnectionMemory>,
        most_head: u64,
    ) -> Self {
        Self {
            bidirectional: ReusableBoxFuture::new(accept_bi(quic.clone())),
            unidirectional: ReusableBoxFuture::new(accept_uni(quic.clone())),
            opener: StreamOpener::new(quic.clone(), Arc::clone(&memory)),
            quic,
            uni_streams: 0,
            last_accepted: LastAccepted::default(),
            memory,
            most_head,
        }
    }

    /// Returns where the control of each accepted stream is put.
    pub(super) fn last_accepted(&self) -> LastAccepted {
        Arc::clone(&self.last_accepted)
    }
}

async fn accept_bi(
    quic: quinn::Connection,
) -> Result<(quinn::SendStream, quinn::RecvStream), ConnectionError> {
    quic.accept_bi().await
}

async fn accept_uni(quic: quinn::Connection) -> Result<quinn::RecvStream, ConnectionError> {
    quic.accept_uni().await
}

impl Connection<Bytes> for QuicConnection {
    type RecvStream = QuicRecvStream;
    type OpenStreams = StreamOpener;

    fn poll_accept_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<QuicRecvStream, ConnectionErrorIncoming>> {
        let stream = ready!(self.unidirectional.poll(cx)).map_err(connection_error)?;
        self.unidirectional.set(accept_uni(self.quic.clone()));
        self.uni_streams += 1;
        if self.uni_streams > MOST_UNI_STREAMS {
            self.close(Code::H3_EXCESSIVE_LOAD, b"");
            let error = ConnectionErrorIncoming::Undefined(Arc::new(TooManyStreams));
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(QuicRecvStream::new(
            stream,
            FrameScanner::of_unidirectional(),
            Arc::clone(&self.memory),
            StreamEnd::default(),
        )))
    }

    fn poll_accept_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<QuicBidiStream, ConnectionErrorIncoming>> {
        let (send, recv) = ready!(self.bidirectional.poll(cx)).map_err(connection_error)?;
        self.bidirectional.set(accept_bi(self.quic.clone()));
        let end = StreamEnd::default();
        *self.last_accepted.lock() = Some(StreamControl {
            stopped: Box::pin(send.stopped()),
            end: end.clone(),
            is_early: recv.is_0rtt(),
        });
        let scanner = FrameScanner::of_request(self.most_head);
        let memory = Arc::clone(&self.memory);
        Poll::Ready(Ok(QuicBidiStream {
            send: QuicSendStream::new(send, end.clone()),
            recv: QuicRecvStream::new(recv, scanner, memory, end),
        }))
    }

    fn opener(&self) -> StreamOpener {
        StreamOpener::new(self.quic.clone(), Arc::clone(&self.memory))
    }
}

impl OpenStreams<Bytes> for QuicConnection {
    type BidiStream = QuicBidiStream;
    type SendStream = QuicSendStream;

    fn poll_open_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<QuicBidiStream, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(cx)
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<QuicSendStream, StreamErrorIncoming>> {
        self.opener.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.quic.close(var_int(code.value()), reason);
    }
}

/// Opens streams of a connection. Servers only open the three unidirectional streams of HTTP/3 itself.
pub(super) struct StreamOpener {
    quic: quinn::Connection,
    memory: Arc<ConnectionMemory>,
    /// A stream that the client does not let us open yet.
    opening: Option<Opening>,
}

type Opening = Pin<Box<dyn Future<Output = Result<quinn::SendStream, ConnectionError>> + Send>>;

impl StreamOpener {
    fn new(quic: quinn::Connection, memory: Arc<ConnectionMemory>) -> Self {
        Self {
            quic,
            memory,
            opening: None,
        }
    }
}

impl OpenStreams<Bytes> for StreamOpener {
    type BidiStream = QuicBidiStream;
    type SendStream = QuicSendStream;

    fn poll_open_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<QuicBidiStream, StreamErrorIncoming>> {
        let (send, recv) = ready!(pin!(self.quic.open_bi()).poll(cx)).map_err(lost)?;
        let end = StreamEnd::default();
        let memory = Arc::clone(&self.memory);
        Poll::Ready(Ok(QuicBidiStream {
            send: QuicSendStream::new(send, end.clone()),
            recv: QuicRecvStream::new(recv, FrameScanner::of_unidirectional(), memory, end),
        }))
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<QuicSendStream, StreamErrorIncoming>> {
        let opening = self.opening.get_or_insert_with(|| {
            let quic = self.quic.clone();
            Box::pin(async move { quic.open_uni().await })
        });
        let opened = ready!(opening.as_mut().poll(cx));
        self.opening = None;
        let stream = opened.map_err(lost)?;
        Poll::Ready(Ok(QuicSendStream::new(stream, StreamEnd::default())))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.quic.close(var_int(code.value()), reason);
    }
}
