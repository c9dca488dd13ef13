//! The streams of a QUIC connection, as the HTTP/3 library wants them.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::quic::{
    BidiStream, ConnectionErrorIncoming, RecvStream, SendStream, StreamErrorIncoming, StreamId,
    WriteBuf,
};
use parking_lot::Mutex;
use quinn::{ConnectionError, ReadError, VarInt, WriteError};

use super::frame_scanner::{FrameLimit, FrameScanner};
use crate::memory::{ConnectionMemory, HeldMemory};

/// Most bytes that are read at once.
const MOST_READ: usize = 64 * 1024;

/// The end of a stream that is dropped before it is complete. Both halves of a stream share it.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamEnd(Arc<Mutex<End>>);

#[derive(Clone, Copy, Debug)]
struct End {
    code: Code,
    refusal: Option<Refusal>,
}

impl Default for End {
    /// A stream that is dropped by mistake must not look complete.
    fn default() -> Self {
        Self {
            code: Code::H3_INTERNAL_ERROR,
            refusal: None,
        }
    }
}

/// Reason why no more of a request is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// Its frames exceed a limit.
    #[error(transparent)]
    Frames(#[from] FrameLimit),
    /// The streams of the client hold as much as they may.
    #[error("the client's streams hold too much memory")]
    Memory,
}

impl StreamEnd {
    /// Ends the stream with `code` when it is dropped.
    pub(super) fn set_code(&self, code: Code) {
        self.0.lock().code = code;
    }

    /// Returns why no more of the request is read, if that is so.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.0.lock().refusal
    }

    fn refuse(&self, refusal: Refusal) -> StreamErrorIncoming {
        let code = match refusal {
            Refusal::Frames(_) => Code::H3_EXCESSIVE_LOAD,
            Refusal::Memory => Code::H3_REQUEST_REJECTED,
        };
        *self.0.lock() = End {
            code,
            refusal: Some(refusal),
        };
        StreamErrorIncoming::Unknown(Box::new(refusal))
    }

    fn code(&self) -> Code {
        self.0.lock().code
    }
}

/// The sending half of a stream.
pub(super) struct QuicSendStream {
    stream: quinn::SendStream,
    /// The frame that is being written.
    pending: Bytes,
    is_over: bool,
    end: StreamEnd,
}

impl QuicSendStream {
    pub(super) fn new(stream: quinn::SendStream, end: StreamEnd) -> Self {
        Self {
            stream,
            pending: Bytes::new(),
            is_over: false,
            end,
        }
    }
}

impl SendStream<Bytes> for QuicSendStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        while !self.pending.is_empty() {
            let mut chunks = [std::mem::take(&mut self.pending)];
            // Takes from the chunk what it writes, and nothing if it has to wait.
            let written = pin!(self.stream.write_chunks(&mut chunks)).poll(cx);
            [self.pending] = chunks;
            ready!(written).map_err(write_error)?;
        }
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        let mut frame = data.into();
        let frame = frame.copy_to_bytes(frame.remaining());
        if self.pending.is_empty() {
            self.pending = frame;
        } else {
            // The rest of a frame whose sender gave up waiting comes first.
            self.pending = [&self.pending[..], &frame].concat().into();
        }
        Ok(())
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        ready!(self.poll_ready(cx))?;
        self.is_over = true;
        // Fails only for a stream that has ended.
        let _ = self.stream.finish();
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, code: u64) {
        self.is_over = true;
        let _ = self.stream.reset(var_int(code));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl Drop for QuicSendStream {
    /// The library below would end the stream as if it were complete.
    fn drop(&mut self) {
        if !self.is_over {
            self.reset(self.end.code().value());
        }
    }
}

/// The receiving half of a stream.
pub(super) struct QuicRecvStream {
    stream: quinn::RecvStream,
    scanner: FrameScanner,
    memory: Arc<ConnectionMemory>,
    /// Memory of a frame that the library gathers.
    held: Option<HeldMemory>,
    is_over: bool,
    end: StreamEnd,
}

impl QuicRecvStream {
    pub(super) fn new(
        stream: quinn::RecvStream,
        scanner: FrameScanner,
        memory: Arc<ConnectionMemory>,
        end: StreamEnd,
    ) -> Self {
        Self {
            stream,
            scanner,
            memory,
            held: None,
            is_over: false,
            end,
        }
    }

    /// Follows the frames in a chunk. Returns it, or a copy if it is a part of a head: the chunk itself would keep all of a
    /// batch of datagrams in memory.
    fn scanned(&mut self, chunk: Bytes) -> Result<Bytes, StreamErrorIncoming> {
        let scanned = self.scanner.scan(&chunk);
        scanned.map_err(|limit| self.end.refuse(limit.into()))?;
        let gathered = self.scanner.gathered();
        self.held = None;
        if gathered == 0 {
            return Ok(chunk);
        }
        self.held = self.memory.hold(gathered);
        if self.held.is_none() {
            return Err(self.end.refuse(Refusal::Memory));
        }
        Ok(Bytes::copy_from_slice(&chunk))
    }
}

impl RecvStream for QuicRecvStream {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let chunk = ready!(pin!(self.stream.read_chunk(MOST_READ, true)).poll(cx));
        match chunk {
            Ok(Some(chunk)) => Poll::Ready(self.scanned(chunk.bytes).map(Some)),
            Ok(None) => {
                self.is_over = true;
                self.held = None;
                Poll::Ready(Ok(None))
            }
            Err(error) => {
                self.is_over = true;
                Poll::Ready(Err(read_error(error)))
            }
        }
    }

    fn stop_sending(&mut self, code: u64) {
        self.is_over = true;
        let _ = self.stream.stop(var_int(code));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl Drop for QuicRecvStream {
    /// Tells the client that nobody reads the rest. It is no error, unless the request is one (RFC 9114 section 4.1).
    fn drop(&mut self) {
        if !self.is_over {
            let code = match self.end.code() {
                Code::H3_INTERNAL_ERROR => Code::H3_NO_ERROR,
                code => code,
            };
            self.stop_sending(code.value());
        }
    }
}

/// Both halves of a stream.
pub(super) struct QuicBidiStream {
    pub(super) send: QuicSendStream,
    pub(super) recv: QuicRecvStream,
}

impl BidiStream<Bytes> for QuicBidiStream {
    type SendStream = QuicSendStream;
    type RecvStream = QuicRecvStream;

    fn split(self) -> (QuicSendStream, QuicRecvStream) {
        (self.send, self.recv)
    }
}

impl SendStream<Bytes> for QuicBidiStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

impl RecvStream for QuicBidiStream {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.recv.poll_data(cx)
    }

    fn stop_sending(&mut self, code: u64) {
        self.recv.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.recv.recv_id()
    }
}

fn stream_id(id: quinn::StreamId) -> StreamId {
    let id = VarInt::from(id).into_inner();
    StreamId::try_from(id).expect("both libraries have the same largest id")
}

pub(super) fn var_int(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

fn read_error(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated {
            error_code: code.into_inner(),
        },
        ReadError::ConnectionLost(error) => lost(error),
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

fn write_error(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated {
            error_code: code.into_inner(),
        },
        WriteError::ConnectionLost(error) => lost(error),
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

pub(super) fn lost(error: ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming {
        connection_error: connection_error(error),
    }
}

pub(super) fn connection_error(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => ConnectionErrorIncoming::ApplicationClose {
            error_code: close.error_code.into_inner(),
        },
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        other => ConnectionErrorIncoming::Undefined(Arc::new(other)),
    }
}
