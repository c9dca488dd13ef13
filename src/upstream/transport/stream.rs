//! Byte stream of one connection to a backend: TCP, unix socket or TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::client::TlsStream;

use crate::uninterrupted::Uninterrupted;

/// Transport of a connection.
#[derive(Debug)]
pub(in crate::upstream) enum Transport {
    Tcp(Uninterrupted<TcpStream>),
    Unix(Uninterrupted<UnixStream>),
    Tls(Box<TlsStream<Uninterrupted<TcpStream>>>),
}

/// Evaluates `$call` with the inner stream of a [`Transport`] as `$stream`.
macro_rules! on_stream {
    ($any:expr, $stream:ident => $call:expr) => {
        match $any {
            Transport::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Transport::Unix($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Transport::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
        }
    };
}

/// Stream of one connection.
#[derive(Debug)]
pub(in crate::upstream) struct BackendStream {
    stream: Transport,
    _permit: OwnedSemaphorePermit,
}

impl BackendStream {
    /// Wraps `stream`. Holds `permit` until it is dropped, even in a tunnel.
    pub(in crate::upstream) fn new(stream: Transport, permit: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            _permit: permit,
        }
    }
}

impl AsyncRead for BackendStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_stream!(&mut self.stream, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for BackendStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_stream!(&mut self.stream, stream => stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_stream!(&mut self.stream, stream => stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Transport::Tcp(stream) => stream.is_write_vectored(),
            Transport::Unix(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(&mut self.stream, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(&mut self.stream, stream => stream.poll_shutdown(cx))
    }
}
