//! The tunnel between client and backend after a connection or stream has switched protocols.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::sync::Notify;
use tokio::time::sleep;

/// Copies bytes in both directions until both sides have ended or one fails. Both sides may be silent without limit.
/// Once a side has ended or does not take what is sent to it, some byte must move within each `stall_timeout`.
pub(crate) async fn copy_both_ways<C, B>(
    client: C,
    backend: B,
    stall_timeout: Duration,
) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let progress = Progress::default();
    let mut client = Side::new(client, &progress);
    let mut backend = Side::new(backend, &progress);
    tokio::select! {
        ended = copy_bidirectional(&mut client, &mut backend) => ended.map(drop),
        () = progress.stalled(stall_timeout) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Progress of both sides, and whether a time limit on it applies.
#[derive(Debug, Default)]
struct Progress {
    has_moved: AtomicBool,
    has_ended: AtomicBool,
    blocked: AtomicU8,
    blocked_or_ended: Notify,
}

impl Progress {
    fn is_watched(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed) || self.blocked.load(Ordering::Relaxed) > 0
    }

    fn moved(&self) {
        self.has_moved.store(true, Ordering::Relaxed);
    }

    async fn stalled(&self, stall_timeout: Duration) {
        loop {
            while !self.is_watched() {
                self.blocked_or_ended.notified().await;
            }
            self.has_moved.store(false, Ordering::Relaxed);
            sleep(stall_timeout).await;
            if self.is_watched() && !self.has_moved.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// Stream of one side, which records its progress.
#[derive(Debug)]
struct Side<'a, S> {
    stream: S,
    is_blocked: bool,
    progress: &'a Progress,
}

impl<'a, S> Side<'a, S> {
    fn new(stream: S, progress: &'a Progress) -> Self {
        Self {
            stream,
            is_blocked: false,
            progress,
        }
    }

    fn set_blocked(&mut self, is_blocked: bool) {
        if self.is_blocked == is_blocked {
            return;
        }
        self.is_blocked = is_blocked;
        if is_blocked {
            self.progress.blocked.fetch_add(1, Ordering::Relaxed);
            self.progress.blocked_or_ended.notify_one();
        } else {
            self.progress.blocked.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Side<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            if buf.filled().len() == before {
                self.progress.has_ended.store(true, Ordering::Relaxed);
                self.progress.blocked_or_ended.notify_one();
            } else {
                self.progress.moved();
            }
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Side<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.set_blocked(outcome.is_pending());
        if outcome.is_ready() {
            self.progress.moved();
        }
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    const STALL_TIMEOUT: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);

    /// A tunnel with the streams of its client and its backend.
    fn tunnel() -> (
        impl Future<Output = io::Result<()>>,
        DuplexStream,
        DuplexStream,
    ) {
        let (client, near) = duplex(64);
        let (backend, far) = duplex(64);
        (copy_both_ways(near, far, STALL_TIMEOUT), client, backend)
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_may_be_silent_without_limit() {
        let (tunnel, mut client, mut backend) = tunnel();
        let talk = async {
            sleep(DAY).await;
            client.write_all(b"x").await.unwrap();
            assert_eq!(backend.read_u8().await.unwrap(), b'x');
            drop((client, backend));
        };
        let (ended, ()) = tokio::join!(tunnel, talk);
        ended.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_closed_tunnel_lasts_while_bytes_move() {
        let (tunnel, mut client, mut backend) = tunnel();
        client.shutdown().await.unwrap();
        let start = Instant::now();
        let talk = async {
            for _ in 0..5 {
                sleep(STALL_TIMEOUT / 2).await;
                backend.write_all(b"x").await.unwrap();
                client.read_u8().await.unwrap();
            }
        };
        let (ended, ()) = tokio::join!(tunnel, talk);
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let lasted = start.elapsed();
        assert!(
            lasted > 3 * STALL_TIMEOUT && lasted <= 5 * STALL_TIMEOUT,
            "{lasted:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_to_a_side_that_stops_reading_is_closed() {
        let (tunnel, client, mut backend) = tunnel();
        let start = Instant::now();
        let flood = async {
            let _ = timeout(DAY, backend.write_all(&[0; 100_000])).await;
        };
        let (ended, ()) = tokio::join!(tunnel, flood);
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() <= 2 * STALL_TIMEOUT);
        drop(client);
    }
}
