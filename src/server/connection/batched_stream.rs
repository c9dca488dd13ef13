//! A stream that its protocol reads and writes in batches. HTTP/2 flushes each frame of a body on its own; flushed together,
//! they leave in one system call. It also reads all that has arrived before it gives out the first request; read in batches, the
//! heads of requests that will be refused are not in memory all at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes after which reading pauses until the protocol has acted on them.
const READ_BATCH: usize = 64 * 1024;

/// Handle of a stream. The protocol has one, and whoever polls the protocol has another to flush what it has written.
#[derive(Debug)]
pub(super) struct BatchedStream<S>(Arc<Mutex<Batches<S>>>);

#[derive(Debug)]
struct Batches<S> {
    stream: S,
    /// Bytes of the batch that were read.
    read: usize,
    /// `true` if the batch was full when the protocol wanted to read.
    wants_more: bool,
    /// `true` if a flush is due.
    is_due: bool,
    /// `true` while the client does not read. Flushes are not deferred then, and the protocol waits.
    is_blocked: bool,
    /// The error of a deferred flush, for the protocol.
    error: Option<io::Error>,
}

impl<S> BatchedStream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Batches {
            stream,
            read: 0,
            wants_more: false,
            is_due: false,
            is_blocked: false,
            error: None,
        })))
    }

    /// Returns another handle of the stream.
    pub(super) fn handle(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Returns the stream itself, if no other handle of it is left.
    pub(super) fn into_inner(self) -> Option<S> {
        Some(Arc::into_inner(self.0)?.into_inner().stream)
    }

    /// Begins another batch of what is read. Must be called when the protocol has acted on the last one. If it wants to read on,
    /// its task is woken: the tasks of its streams come first, and find the last batch in the processor's cache.
    pub(super) fn read_on(&self, cx: &Context<'_>) {
        let mut batches = self.0.lock();
        batches.read = 0;
        if std::mem::take(&mut batches.wants_more) {
            cx.waker().wake_by_ref();
        }
    }
}

impl<S: AsyncWrite + Unpin> BatchedStream<S> {
    /// Flushes if that is due. The protocol is woken for an error, which it then gets.
    pub(super) fn flush_deferred(&self, cx: &mut Context<'_>) {
        let mut batches = self.0.lock();
        if batches.is_due
            && let Poll::Ready(Err(error)) = batches.poll_flush(cx)
        {
            batches.error = Some(error);
            cx.waker().wake_by_ref();
        }
    }
}

impl<S: AsyncWrite + Unpin> Batches<S> {
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.is_blocked = flushed.is_pending();
        self.is_due = self.is_blocked;
        flushed
    }
}

impl<S> Batches<S> {
    /// Calls the stream, unless a deferred flush has failed.
    fn call<T>(
        &mut self,
        call: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>>
    where
        S: Unpin,
    {
        match self.error.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => call(Pin::new(&mut self.stream)),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BatchedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut batches = self.0.lock();
        if batches.read >= READ_BATCH {
            // Whoever polls the protocol lets it read on, in a later turn.
            batches.wants_more = true;
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let outcome = batches.call(|stream| stream.poll_read(cx, buf));
        batches.read += buf.filled().len() - before;
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BatchedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().call(|stream| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut batches = self.0.lock();
        batches.call(|stream| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut batches = self.0.lock();
        if let Some(error) = batches.error.take() {
            return Poll::Ready(Err(error));
        }
        if batches.is_blocked {
            return batches.poll_flush(cx);
        }
        batches.is_due = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().call(|stream| stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::io::ErrorKind;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use bytes::Bytes;
    use http::{Request, Response};
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// A stream that counts flushes, and can refuse them.
    struct Counted {
        inner: DuplexStream,
        flushes: Arc<AtomicUsize>,
        outcome: Option<ErrorKind>,
    }

    impl Counted {
        fn new(inner: DuplexStream) -> (Self, Arc<AtomicUsize>) {
            let flushes = Arc::new(AtomicUsize::new(0));
            let counted = Self {
                inner,
                flushes: Arc::clone(&flushes),
                outcome: None,
            };
            (counted, flushes)
        }
    }

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.inner).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Counted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.inner).poll_write(cx, buf)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes.fetch_add(1, Ordering::Relaxed);
            match self.outcome {
                None => Poll::Ready(Ok(())),
                Some(ErrorKind::WouldBlock) => Poll::Pending,
                Some(kind) => Poll::Ready(Err(kind.into())),
            }
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.inner).poll_shutdown(cx)
        }
    }

    /// A task that counts how often it is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn driven<S, T>(
        stream: &BatchedStream<S>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> T
    where
        S: AsyncWrite + Unpin,
    {
        poll_fn(|cx| {
            let polled = poll(cx);
            if polled.is_pending() {
                stream.flush_deferred(cx);
            }
            polled
        })
        .await
    }

    async fn request_three(io: DuplexStream) {
        let (sending, connection) = h2::client::handshake(io).await.unwrap();
        let requests = async {
            let mut sending = sending.ready().await.unwrap();
            let mut answers = Vec::new();
            for _ in 0..3 {
                let request = Request::get("https://a/").body(()).unwrap();
                answers.push(sending.send_request(request, true).unwrap().0);
            }
            for answer in answers {
                let mut body = answer.await.unwrap().into_body();
                let mut len = 0;
                while let Some(data) = body.data().await {
                    len += data.unwrap().len();
                }
                assert_eq!(len, 1024);
            }
        };
        tokio::select! {
            ended = connection => panic!("{ended:?}"),
            () = requests => {}
        }
    }

    #[tokio::test]
    async fn responses_of_one_turn_are_flushed_together() {
        let (client, server) = duplex(1 << 20);
        let (counted, flushes) = Counted::new(server);
        let stream = BatchedStream::new(counted);
        let serve = async {
            let mut handshake = Box::pin(h2::server::handshake(stream.handle()));
            let connection = driven(&stream, |cx| handshake.as_mut().poll(cx));
            let mut connection = connection.await.unwrap();
            let mut replies = Vec::new();
            while replies.len() < 3 {
                let accepted = driven(&stream, |cx| connection.poll_accept(cx)).await;
                replies.push(accepted.unwrap().unwrap().1);
            }
            let before = flushes.load(Ordering::Relaxed);
            for mut reply in replies {
                let mut body = reply.send_response(Response::new(()), false).unwrap();
                body.send_data(Bytes::from_static(&[b'x'; 1024]), true)
                    .unwrap();
            }
            poll_fn(|cx| {
                assert!(connection.poll_accept(cx).is_pending());
                assert_eq!(flushes.load(Ordering::Relaxed), before);
                stream.flush_deferred(cx);
                assert_eq!(flushes.load(Ordering::Relaxed), before + 1);
                stream.flush_deferred(cx);
                assert_eq!(flushes.load(Ordering::Relaxed), before + 1);
                Poll::Ready(())
            })
            .await;
            let _ = driven(&stream, |cx| connection.poll_accept(cx)).await;
        };
        tokio::join!(serve, request_three(client));
    }

    #[test]
    fn a_flush_that_waits_for_the_client_is_no_longer_deferred() {
        let mut cx = Context::from_waker(Waker::noop());
        let (counted, flushes) = Counted::new(duplex(1).0);
        let mut stream = BatchedStream::new(counted);
        let set = |stream: &BatchedStream<Counted>, outcome| {
            stream.0.lock().stream.outcome = outcome;
        };
        set(&stream, Some(ErrorKind::WouldBlock));
        assert!(Pin::new(&mut stream).poll_flush(&mut cx).is_ready());
        stream.flush_deferred(&mut cx);
        assert!(Pin::new(&mut stream).poll_flush(&mut cx).is_pending());
        assert_eq!(flushes.load(Ordering::Relaxed), 2);

        set(&stream, None);
        assert!(Pin::new(&mut stream).poll_flush(&mut cx).is_ready());
        assert_eq!(flushes.load(Ordering::Relaxed), 3);
        stream.flush_deferred(&mut cx);
        assert_eq!(flushes.load(Ordering::Relaxed), 3, "nothing is due");
    }

    #[test]
    fn the_protocol_gets_the_error_of_a_deferred_flush() {
        let mut cx = Context::from_waker(Waker::noop());
        for call in 0..3 {
            let (mut counted, _) = Counted::new(duplex(1).0);
            counted.outcome = Some(ErrorKind::ConnectionReset);
            let mut stream = BatchedStream::new(counted);
            assert!(Pin::new(&mut stream).poll_flush(&mut cx).is_ready());
            stream.flush_deferred(&mut cx);
            let mut handle = stream.handle();
            let handle = Pin::new(&mut handle);
            let error = match call {
                0 => handle.poll_flush(&mut cx),
                1 => handle.poll_write(&mut cx, b"x").map_ok(drop),
                _ => handle.poll_read(&mut cx, &mut ReadBuf::new(&mut [0])),
            };
            let Poll::Ready(Err(error)) = error else {
                panic!("{error:?}");
            };
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }

    #[test]
    fn reading_pauses_after_a_batch_until_it_was_acted_on() {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut client, server) = duplex(1 << 20);
        let sent = vec![0; 3 * READ_BATCH];
        let sending = Pin::new(&mut client).poll_write(&mut cx, &sent);
        assert!(matches!(sending, Poll::Ready(Ok(len)) if len == sent.len()));
        let stream = BatchedStream::new(server);
        let mut read_all = || {
            let (mut bytes, mut all) = (vec![0; 10_000], 0);
            loop {
                let mut buf = ReadBuf::new(&mut bytes);
                match Pin::new(&mut stream.handle()).poll_read(&mut cx, &mut buf) {
                    Poll::Ready(read) => read.unwrap(),
                    Poll::Pending => return all,
                }
                all += buf.filled().len();
            }
        };
        let task = Arc::new(Task::default());
        let waker = Waker::from(Arc::clone(&task));
        let read_on = || {
            stream.read_on(&Context::from_waker(&waker));
            task.0.swap(0, Ordering::Relaxed)
        };
        assert_eq!(read_all(), 70_000);
        assert_eq!(read_all(), 0, "the protocol has not acted on it");
        assert_eq!(read_on(), 1, "the task has another turn");
        assert_eq!(read_all(), 70_000);
        assert_eq!(read_on(), 1);
        assert_eq!(read_all(), sent.len() - 140_000);
        assert_eq!(read_on(), 0, "all was read");
    }
}
