//! The tunnel between client and backend after a connection or stream has switched protocols.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::direction::Direction;
use crate::tasks::Shutdown;

/// Time in which both sides of a tunnel that is closed may take what is left, and the client of a WebSocket may answer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Close frame with the code 1001: the endpoint goes away (RFC 6455 section 7.4.1).
const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// Settings of a tunnel.
#[derive(Clone, Debug)]
pub(super) struct TunnelOptions {
    /// Maximum time without progress once a side has ended or stopped reading.
    pub(super) stall_timeout: Duration,
    /// End of the process, at which a WebSocket is closed.
    pub(super) shutdown: Shutdown,
    /// End of the route, at which every tunnel is closed.
    pub(super) route_end: CancellationToken,
    pub(super) is_web_socket: bool,
}

/// Copies bytes in both directions until both sides have ended or one fails. Both sides may be silent without limit.
/// Once a side has ended or does not take what is sent to it, some byte must move within each stall time-out.
///
/// When the process stops, both sides of a WebSocket get a close frame, between two frames of the other side. If another
/// process takes over, each WebSocket gets it at a moment of its own, so that their clients do not come back all at once.
/// Other protocols run on. When the route ends, they are closed, too.
pub(super) async fn copy_both_ways<C, B>(
    client: C,
    backend: B,
    options: TunnelOptions,
) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let mut tunnel = Tunnel {
        client,
        backend,
        to_backend: Direction::new(options.is_web_socket),
        to_client: Direction::new(options.is_web_socket),
    };
    tokio::select! {
        biased;
        () = options.route_end.cancelled() => {}
        () = options.shutdown.turn(), if options.is_web_socket => {}
        ended = tunnel.copy(options.stall_timeout) => return ended,
    }
    let closed = async {
        if options.is_web_socket {
            tunnel.close().await?;
        }
        tunnel.end().await
    };
    timeout(CLOSE_TIMEOUT, closed).await?
}

/// Both sides and both directions.
struct Tunnel<C, B> {
    client: C,
    backend: B,
    to_backend: Direction,
    to_client: Direction,
}

impl<C, B> Tunnel<C, B>
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    /// Copies until both sides have ended. Cancel safe.
    async fn copy(&mut self, stall_timeout: Duration) -> io::Result<()> {
        let mut stalled = pin!(None);
        poll_fn(|cx| {
            if let Poll::Ready(ended) = self.poll_directions(cx) {
                return Poll::Ready(ended);
            }
            loop {
                if stalled.is_none() {
                    if !self.is_watched() {
                        return Poll::Pending;
                    }
                    self.take_moved();
                    stalled.set(Some(sleep(stall_timeout)));
                }
                let Some(timer) = stalled.as_mut().as_pin_mut() else {
                    return Poll::Pending;
                };
                ready!(timer.poll(cx));
                if self.is_watched() && !self.take_moved() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                stalled.set(None);
            }
        })
        .await
    }

    /// Closes a WebSocket: both sides get a close frame, and the client may answer it.
    async fn close(&mut self) -> io::Result<()> {
        self.to_client.close_with(GOING_AWAY.to_vec());
        self.to_backend.close_with(masked(GOING_AWAY));
        let mut is_backend_gone = false;
        poll_fn(|cx| {
            if !is_backend_gone {
                let polled = self.poll_to_backend(cx);
                is_backend_gone = matches!(polled, Poll::Ready(Err(_)));
            }
            let _ = self.poll_to_client(cx)?;
            let is_backend_told = is_backend_gone || self.to_backend.is_written();
            let is_answered = is_backend_gone || self.to_backend.is_reader_done();
            if is_backend_told && is_answered && self.to_client.is_written() {
                Poll::Ready(io::Result::Ok(()))
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// Tells both sides that nothing more is sent.
    async fn end(&mut self) -> io::Result<()> {
        let _ = self.backend.shutdown().await;
        self.client.shutdown().await
    }

    fn poll_directions(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let to_backend = self.poll_to_backend(cx)?;
        let to_client = self.poll_to_client(cx)?;
        if to_backend.is_ready() && to_client.is_ready() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn poll_to_backend(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (client, backend) = (&mut self.client, &mut self.backend);
        self.to_backend.poll(client, backend, cx)
    }

    fn poll_to_client(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (client, backend) = (&mut self.client, &mut self.backend);
        self.to_client.poll(backend, client, cx)
    }

    /// `true` if a side has ended or does not take what is sent to it.
    fn is_watched(&self) -> bool {
        let directions = [&self.to_backend, &self.to_client];
        let mut directions = directions.into_iter();
        directions.any(|direction| direction.is_reader_done() || direction.is_blocked())
    }

    /// Returns whether bytes have moved since the last call.
    fn take_moved(&mut self) -> bool {
        self.to_backend.take_moved() | self.to_client.take_moved()
    }
}

/// Returns the close frame as a client sends it.
fn masked([opcode, length, high, low]: [u8; 4]) -> Vec<u8> {
    let mask: [u8; 4] = fastrand::u32(..).to_le_bytes();
    let mut frame = vec![opcode, length | 0x80];
    frame.extend(mask);
    frame.extend([high ^ mask[0], low ^ mask[1]]);
    frame
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;
    use crate::tasks::Tasks;

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
        let options = TunnelOptions {
            stall_timeout: STALL_TIMEOUT,
            shutdown: Tasks::new().shutdown(),
            route_end: CancellationToken::new(),
            is_web_socket: false,
        };
        (copy_both_ways(near, far, options), client, backend)
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

    /// A WebSocket with the streams of its client and its backend, and the tasks that it ends with.
    fn web_socket() -> (
        impl Future<Output = io::Result<()>>,
        DuplexStream,
        DuplexStream,
        Tasks,
    ) {
        let (client, near) = duplex(64);
        let (backend, far) = duplex(64);
        let tasks = Tasks::new();
        let options = TunnelOptions {
            stall_timeout: STALL_TIMEOUT,
            shutdown: tasks.shutdown(),
            route_end: CancellationToken::new(),
            is_web_socket: true,
        };
        (copy_both_ways(near, far, options), client, backend, tasks)
    }

    /// Removes the mask of a close frame.
    fn unmasked(frame: [u8; 8]) -> [u8; 4] {
        let [opcode, length, mask_high, mask_low, _, _, high, low] = frame;
        [opcode, length & 0x7f, high ^ mask_high, low ^ mask_low]
    }

    #[tokio::test(start_paused = true)]
    async fn a_web_socket_is_closed_at_both_sides_when_the_process_stops() {
        let (tunnel, mut client, mut backend, tasks) = web_socket();
        let start = Instant::now();
        let talk = async {
            tasks.stop();
            let mut told = [0; 4];
            client.read_exact(&mut told).await.unwrap();
            assert_eq!(told, GOING_AWAY);
            let mut told = [0; 8];
            backend.read_exact(&mut told).await.unwrap();
            assert_eq!(unmasked(told), GOING_AWAY);
            client.write_all(&masked(GOING_AWAY)).await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            assert_eq!(backend.read(&mut [0]).await.unwrap(), 0);
        };
        let (ended, ()) = tokio::join!(tunnel, talk);
        ended.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn web_sockets_are_closed_one_after_the_other_when_another_process_takes_over() {
        let (tunnel, mut client, backend, tasks) = web_socket();
        let start = Instant::now();
        let talk = async {
            tasks.stop_within(DAY);
            let mut told = [0; 4];
            client.read_exact(&mut told).await.unwrap();
            assert_eq!(told, GOING_AWAY);
            let waited = start.elapsed();
            drop((client, backend));
            waited
        };
        let (_, waited) = tokio::join!(tunnel, talk);
        // A shorter wait is drawn once in eight million times.
        assert!(waited > Duration::from_millis(10) && waited <= DAY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_frame_comes_after_the_frame_on_its_way_and_instead_of_the_next() {
        let (tunnel, mut client, mut backend, tasks) = web_socket();
        let talk = async {
            backend.write_all(&[0x82, 3, 1]).await.unwrap();
            let mut begun = [0; 3];
            client.read_exact(&mut begun).await.unwrap();
            tasks.stop();
            tokio::task::yield_now().await;
            backend.write_all(&[2, 3, 0x82, 1, 9]).await.unwrap();
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, [&[2, 3][..], &GOING_AWAY].concat());
        };
        let start = Instant::now();
        let (ended, ()) = tokio::join!(tunnel, talk);
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), CLOSE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_web_socket_whose_frame_never_ends_is_cut_in_time() {
        let (tunnel, client, mut backend, tasks) = web_socket();
        backend.write_all(&[0x82, 127]).await.unwrap();
        let start = Instant::now();
        tasks.stop();
        assert!(tunnel.await.is_err());
        assert_eq!(start.elapsed(), CLOSE_TIMEOUT);
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn other_protocols_outlive_the_request_to_stop() {
        let tasks = Tasks::new();
        let ((mut client, near), (mut backend, far)) = (duplex(64), duplex(64));
        let options = TunnelOptions {
            stall_timeout: STALL_TIMEOUT,
            shutdown: tasks.shutdown(),
            route_end: CancellationToken::new(),
            is_web_socket: false,
        };
        let talk = async {
            tasks.stop();
            sleep(DAY).await;
            client.write_all(b"x").await.unwrap();
            assert_eq!(backend.read_u8().await.unwrap(), b'x');
            drop((client, backend));
        };
        let (ended, ()) = tokio::join!(copy_both_ways(near, far, options), talk);
        ended.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn when_its_route_ends_every_tunnel_is_closed_and_a_web_socket_with_a_frame() {
        for (is_web_socket, last) in [(true, &GOING_AWAY[..]), (false, &[])] {
            let ((mut client, near), (mut backend, far)) = (duplex(64), duplex(64));
            let route_end = CancellationToken::new();
            let options = TunnelOptions {
                stall_timeout: STALL_TIMEOUT,
                shutdown: Tasks::new().shutdown(),
                route_end: route_end.clone(),
                is_web_socket,
            };
            let talk = async {
                sleep(DAY).await;
                backend.write_all(&[0x82, 1, 9]).await.unwrap();
                let mut before = [0; 3];
                client.read_exact(&mut before).await.unwrap();
                route_end.cancel();
                let mut rest = Vec::new();
                client.read_to_end(&mut rest).await.unwrap();
                assert_eq!(rest, last);
                drop(client);
                backend.read_to_end(&mut Vec::new()).await.unwrap();
            };
            let (ended, ()) = tokio::join!(copy_both_ways(near, far, options), talk);
            assert!(is_web_socket || ended.is_ok(), "{ended:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_one_read_passes_in_both_directions() {
        let (tunnel, client, backend) = tunnel();
        let bytes: Vec<u8> = (0..100_000_u32).map(|it| it.to_le_bytes()[0]).collect();
        let (mut client_reads, mut client_writes) = tokio::io::split(client);
        let (mut backend_reads, mut backend_writes) = tokio::io::split(backend);
        let talk = async {
            let mut received = (Vec::new(), Vec::new());
            let send = async |to: &mut tokio::io::WriteHalf<DuplexStream>| {
                to.write_all(&bytes).await.unwrap();
                to.shutdown().await.unwrap();
            };
            let ((), (), first, second) = tokio::join!(
                send(&mut client_writes),
                send(&mut backend_writes),
                client_reads.read_to_end(&mut received.0),
                backend_reads.read_to_end(&mut received.1),
            );
            assert_eq!(
                (first.unwrap(), second.unwrap()),
                (bytes.len(), bytes.len())
            );
            assert!(received.0 == bytes && received.1 == bytes);
        };
        let (ended, ()) = tokio::join!(tunnel, talk);
        ended.unwrap();
    }
}
