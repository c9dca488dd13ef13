//! A pipe that is full, and that nobody reads for now.

use std::os::fd::OwnedFd;

use tokio::net::unix::pipe::{Receiver, pipe};

/// Fills a new pipe. Whoever writes to the returned end blocks until the other end is read.
pub(crate) async fn full_pipe() -> (OwnedFd, Receiver) {
    let (sender, receiver) = pipe().unwrap();
    sender.writable().await.unwrap();
    while sender.try_write(b"nobody reads this\n").is_ok() {}
    while sender.try_write(b"\n").is_ok() {}
    (sender.into_blocking_fd().unwrap(), receiver)
}
