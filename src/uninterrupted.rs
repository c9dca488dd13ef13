//! System calls on sockets that a signal interrupts (EINTR): they are repeated, since nothing is wrong with the socket. Knows no
//! room.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Repeats `call` until no signal interrupts it.
pub async fn repeat<T, F>(mut call: impl FnMut() -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    loop {
        match call().await {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Reads from `stream` into `buf` without consuming the bytes.
pub async fn peek(stream: &TcpStream, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.peek(buf).await {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

fn poll_repeat<T>(mut call: impl FnMut() -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
    loop {
        match call() {
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// A stream that repeats interrupted calls.
#[derive(Debug)]
pub struct Uninterrupted<S>(S);

impl<S> Uninterrupted<S> {
    /// Wraps `stream`.
    pub fn new(stream: S) -> Self {
        Self(stream)
    }

    /// Returns the wrapped stream.
    pub fn get_ref(&self) -> &S {
        &self.0
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Uninterrupted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        poll_repeat(|| Pin::new(&mut self.0).poll_read(cx, buf))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Uninterrupted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        poll_repeat(|| Pin::new(&mut self.0).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_repeat(|| Pin::new(&mut self.0).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_repeat(|| Pin::new(&mut self.0).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_repeat(|| Pin::new(&mut self.0).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A stream of which every second call is interrupted. It reads as `y`, and takes one byte per write.
    #[derive(Default)]
    struct Signalled {
        calls: usize,
        written: Vec<u8>,
    }

    impl Signalled {
        fn call<T>(&mut self, value: T) -> Poll<io::Result<T>> {
            self.calls += 1;
            Poll::Ready(if self.calls % 2 == 1 {
                Err(ErrorKind::Interrupted.into())
            } else {
                Ok(value)
            })
        }
    }

    impl AsyncRead for Signalled {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let outcome = self.call(());
            if matches!(outcome, Poll::Ready(Ok(()))) {
                buf.put_slice(b"y");
            }
            outcome
        }
    }

    impl AsyncWrite for Signalled {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let outcome = self.call(1);
            if matches!(outcome, Poll::Ready(Ok(_))) {
                self.written.push(buf[0]);
            }
            outcome
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.call(())
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.call(())
        }
    }

    #[tokio::test]
    async fn interrupted_reads_and_writes_are_repeated() {
        let mut stream = Uninterrupted::new(Signalled::default());
        stream.write_all(b"abc").await.unwrap();
        stream.flush().await.unwrap();
        let mut read = [0; 3];
        stream.read_exact(&mut read).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(
            (stream.get_ref().written.as_slice(), &read),
            (b"abc".as_slice(), b"yyy")
        );
    }

    #[tokio::test]
    async fn other_errors_are_reported() {
        let calls = Cell::new(0);
        let outcome = repeat(|| async {
            calls.set(calls.get() + 1);
            Err::<(), _>(io::Error::from(match calls.get() {
                1 | 2 => ErrorKind::Interrupted,
                _ => ErrorKind::ConnectionReset,
            }))
        });
        assert_eq!(
            outcome.await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
        assert_eq!(calls.get(), 3);
    }
}
