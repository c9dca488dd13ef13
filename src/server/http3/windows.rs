//! The windows of one connection in both directions: narrow, until a large transfer runs that the client has memory for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quinn::VarInt;

use crate::memory::{ConnectionMemory, FlowWindow, Transfer};
use crate::server::quic::{FIRST_WINDOW, WINDOW};

/// Direction of a transfer, as the proxy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Upload,
    Download,
}

/// The windows of one connection.
#[derive(Debug)]
pub(super) struct Windows {
    quic: quinn::Connection,
    uploads: Arc<FlowWindow>,
    downloads: Arc<FlowWindow>,
    is_upload_wide: AtomicBool,
    is_download_wide: AtomicBool,
    /// `true` once the client was given the wide window. What is left of it cannot be taken back.
    was_upload_wide: AtomicBool,
}

impl Windows {
    pub(super) fn new(quic: quinn::Connection, memory: &Arc<ConnectionMemory>) -> Arc<Self> {
        let window = || FlowWindow::new(Arc::clone(memory), (WINDOW - FIRST_WINDOW) as usize);
        Arc::new(Self {
            quic,
            uploads: window(),
            downloads: window(),
            is_upload_wide: AtomicBool::new(false),
            is_download_wide: AtomicBool::new(false),
            was_upload_wide: AtomicBool::new(false),
        })
    }

    /// Begins an upload. Returns `None` if the client has no memory for it.
    pub(super) fn begin_upload(self: &Arc<Self>) -> Option<WindowedTransfer> {
        let transfer = if self.was_upload_wide.load(Ordering::Relaxed) {
            self.uploads.begin_wide()?
        } else {
            self.uploads.begin()
        };
        Some(self.windowed(transfer, Direction::Upload))
    }

    /// Begins a download.
    pub(super) fn begin_download(self: &Arc<Self>) -> WindowedTransfer {
        self.windowed(self.downloads.begin(), Direction::Download)
    }

    fn windowed(self: &Arc<Self>, transfer: Transfer, direction: Direction) -> WindowedTransfer {
        WindowedTransfer {
            transfer: Some(transfer),
            windows: Arc::clone(self),
            direction,
        }
    }

    /// Opens or closes the window of a direction.
    fn adjust(&self, direction: Direction) {
        let size = |is_wide| if is_wide { WINDOW } else { FIRST_WINDOW };
        match direction {
            Direction::Upload => {
                let is_wide = self.uploads.is_wide();
                if self.is_upload_wide.swap(is_wide, Ordering::Relaxed) != is_wide {
                    self.was_upload_wide.fetch_or(is_wide, Ordering::Relaxed);
                    self.quic
                        .set_receive_window(VarInt::from_u32(size(is_wide)));
                }
            }
            Direction::Download => {
                let is_wide = self.downloads.is_wide();
                if self.is_download_wide.swap(is_wide, Ordering::Relaxed) != is_wide {
                    self.quic.set_send_window(u64::from(size(is_wide)));
                }
            }
        }
    }
}

/// A transfer that runs until this is dropped.
#[derive(Debug)]
pub(super) struct WindowedTransfer {
    transfer: Option<Transfer>,
    windows: Arc<Windows>,
    direction: Direction,
}

impl WindowedTransfer {
    /// Records that `bytes` were read or written. The window opens when they are many.
    pub(super) fn record(&mut self, bytes: usize) {
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        let was_large = transfer.is_large();
        transfer.record(bytes);
        if transfer.is_large() && !was_large {
            self.windows.adjust(self.direction);
        }
    }
}

impl Drop for WindowedTransfer {
    fn drop(&mut self) {
        let was_large = self.transfer.take().is_some_and(|ended| ended.is_large());
        if was_large {
            self.windows.adjust(self.direction);
        }
    }
}
