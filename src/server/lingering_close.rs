//! Lingering close: after an answer to a request that was not read to its end, the rest is read and discarded for a while. A
//! socket that is closed with unread bytes is reset, and a client that still writes may lose the answer.

use std::fmt;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, sleep_until, timeout};

use crate::tasks::Shutdown;

/// Time after the answer for which the rest is read.
const LINGER: Duration = Duration::from_secs(30);
/// Maximum pause of the client.
const LINGER_PAUSE: Duration = Duration::from_secs(5);
/// Most bytes that are read.
const MOST_DISCARDED: u64 = 256 << 20;
/// Bytes of one read.
const PIECE: usize = 16 * 1024;

/// A connection that has ended before a request was read. Its sending side is closed. It keeps its slot among the open
/// connections.
pub(super) struct LingeringClose {
    stream: Box<dyn AsyncRead + Send + Unpin>,
    answered: Instant,
}

impl LingeringClose {
    /// `stream` is what is left of a connection whose last answer was given at `answered`.
    pub(super) fn new(stream: impl AsyncRead + Send + Unpin + 'static, answered: Instant) -> Self {
        Self {
            stream: Box::new(stream),
            answered,
        }
    }

    /// Reads and discards what the client still sends: until it closes the connection, within the bounds of time and bytes,
    /// and no longer than until the process stops.
    pub(super) async fn discard(mut self, shutdown: &Shutdown) {
        let until = self.answered + LINGER;
        tokio::select! {
            () = self.read_rest() => {}
            () = sleep_until(until) => {}
            () = shutdown.requested() => {}
        }
    }

    async fn read_rest(&mut self) {
        let mut piece = vec![0; PIECE];
        let mut left = MOST_DISCARDED;
        while left > 0 {
            match timeout(LINGER_PAUSE, self.stream.read(&mut piece)).await {
                Ok(Ok(read)) if read > 0 => left = left.saturating_sub(read as u64),
                _ => return,
            }
        }
    }
}

impl fmt::Debug for LingeringClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LingeringClose").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::sleep;

    use super::*;
    use crate::tasks::Tasks;

    const MIB: usize = 1 << 20;

    /// Discards what `client` sends. Returns for how many seconds that lasts.
    async fn lingered<F: Future>(
        tasks: &Tasks,
        client: impl FnOnce(DuplexStream) -> F,
    ) -> (u64, F::Output) {
        let (sending, stream) = duplex(MIB);
        let lingering = LingeringClose::new(stream, Instant::now());
        let begin = Instant::now();
        let shutdown = tasks.shutdown();
        let discarding = async {
            lingering.discard(&shutdown).await;
            begin.elapsed().as_secs()
        };
        tokio::join!(discarding, client(sending))
    }

    /// Sends MiBs, with `pause` between them, until the connection is closed. Returns their number.
    async fn send_on(mut client: DuplexStream, pause: Duration) -> usize {
        let mut sent = 0;
        while client.write_all(&vec![0; MIB]).await.is_ok() {
            sent += 1;
            sleep(pause).await;
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_client_still_sends_is_read_until_it_closes() {
        let tasks = Tasks::new();
        let client = async |mut client: DuplexStream| {
            client.write_all(&vec![0; 5 * MIB]).await.unwrap();
        };
        assert_eq!(lingered(&tasks, client).await, (0, ()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_on_is_cut_at_a_bound() {
        let tasks = Tasks::new();
        let silent = async |client: DuplexStream| {
            sleep(Duration::from_secs(60)).await;
            drop(client);
        };
        assert_eq!(lingered(&tasks, silent).await.0, 5);

        let slow = |client| send_on(client, Duration::from_secs(4));
        assert_eq!(lingered(&tasks, slow).await.0, 30);

        let (time, sent) = lingered(&tasks, |client| send_on(client, Duration::ZERO)).await;
        assert_eq!(time, 0);
        assert!((256..=257).contains(&sent), "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_counts_from_the_answer() {
        let (client, stream) = duplex(MIB);
        let answered = Instant::now();
        sleep(Duration::from_secs(40)).await;
        let late = Instant::now();
        let lingering = LingeringClose::new(stream, answered);
        lingering.discard(&Tasks::new().shutdown()).await;
        assert!(late.elapsed() < Duration::from_millis(10));
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_it_at_once() {
        let tasks = Tasks::new();
        let client = async |client| {
            sleep(Duration::from_secs(1)).await;
            tasks.stop();
            send_on(client, Duration::from_secs(1)).await
        };
        assert_eq!(lingered(&tasks, client).await.0, 1);
    }
}
