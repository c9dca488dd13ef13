//! The flow-control window that the uploads of one connection share, or its downloads over HTTP/3. A wide window is held memory,
//! since it may be filled at any time; it is held only while a large transfer runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::connection_memory::{ConnectionMemory, HeldMemory};

/// Bytes after which a transfer is large: half of what fits into the first window.
const LARGE: usize = 32 * 1024;

/// Window for the transfers of one connection in one direction.
#[derive(Debug)]
pub struct FlowWindow {
    memory: Arc<ConnectionMemory>,
    /// Bytes of the wide window beyond the first one.
    size: usize,
    /// Large transfers that run.
    large: AtomicUsize,
    held: Mutex<Option<HeldMemory>>,
}

impl FlowWindow {
    /// A window that is narrow at first, and takes `size` bytes of `memory` when it is wide.
    #[must_use]
    pub fn new(memory: Arc<ConnectionMemory>, size: usize) -> Arc<Self> {
        Arc::new(Self {
            memory,
            size,
            large: AtomicUsize::new(0),
            held: Mutex::new(None),
        })
    }

    /// Begins a transfer whose size is not known.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Transfer {
        Transfer {
            window: Arc::clone(self),
            received: 0,
            is_large: false,
        }
    }

    /// Begins a transfer that may fill a wide window which the client was given before. Returns `None` if the client has its
    /// share.
    #[must_use]
    pub fn begin_wide(self: &Arc<Self>) -> Option<Transfer> {
        let mut held = self.held.lock();
        if held.is_none() {
            *held = Some(self.memory.hold(self.size)?);
        }
        drop(held);
        let mut upload = self.begin();
        upload.enlarge();
        Some(upload)
    }

    /// `true` if the window should be wide: a large transfer runs, and the client has memory for it.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        if self.large.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut held = self.held.lock();
        if held.is_none() {
            *held = self.memory.hold_window(self.size);
        }
        held.is_some()
    }
}

/// A transfer that runs until this is dropped.
#[derive(Debug)]
pub struct Transfer {
    window: Arc<FlowWindow>,
    received: usize,
    is_large: bool,
}

impl Transfer {
    /// Records that `bytes` were read or written.
    pub fn record(&mut self, bytes: usize) {
        if !self.is_large {
            self.received = self.received.saturating_add(bytes);
            if self.received > LARGE {
                self.enlarge();
            }
        }
    }

    /// `true` once the transfer is large.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.is_large
    }

    fn enlarge(&mut self) {
        self.is_large = true;
        self.window.large.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if self.is_large && self.window.large.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.window.held.lock() = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ClientMemory, StreamMemory};
    use super::*;

    const SIZE: usize = 1 << 20;

    fn windows(limit: usize) -> [Arc<FlowWindow>; 2] {
        let client = ClientMemory::new(&StreamMemory::new(limit));
        [(); 2].map(|()| {
            let memory = ConnectionMemory::new(Arc::clone(&client));
            FlowWindow::new(memory, SIZE)
        })
    }

    #[test]
    fn a_window_is_wide_while_a_large_upload_runs() {
        let [window, other] = windows(10 * SIZE);
        let mut small = window.begin();
        small.record(LARGE);
        assert!(!window.is_wide(), "small uploads need none");
        let mut large = window.begin();
        for _ in 0..3 {
            large.record(LARGE);
        }
        assert!(window.is_wide());
        let mut next = other.begin();
        next.record(2 * LARGE);
        assert!(!other.is_wide(), "the client has its share of windows");
        drop(large);
        assert!(!window.is_wide());
        assert!(other.is_wide());
    }

    #[test]
    fn a_window_that_was_wide_is_paid_for_before_the_next_upload() {
        let [window, other] = windows(4 * SIZE + SIZE / 2);
        let upload = window.begin_wide().unwrap();
        assert!(window.is_wide());
        assert!(other.begin_wide().is_none());
        drop(upload);
        assert!(other.begin_wide().is_some());
    }
}
