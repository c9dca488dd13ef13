//! The process that is waiting for this one to replace it. It is told how the start went.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// First word of what a process says that serves. Anything else is why it does not.
pub(super) const READY: &str = "ready ";

/// The line to the waiting process. `None` inside if nobody waits. Clones are the same line.
#[derive(Clone, Debug, Default)]
pub struct Predecessor(Option<Arc<UnixStream>>);

impl Predecessor {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(Some(Arc::new(stream)))
    }

    /// `true` if a process is waiting.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.0.is_some()
    }

    /// Tells it that this process serves. It hears nothing more.
    pub(in crate::app) fn tell_ready(&self) {
        if let Some(stream) = &self.0 {
            let line = format!("{READY}{}\n", env!("CARGO_PKG_VERSION"));
            // If it has ended meanwhile, this process is the one that serves all the same.
            let told = (&**stream).write_all(line.as_bytes());
            let _ = told.and_then(|()| stream.shutdown(Shutdown::Both));
        }
    }
}

/// Why this process does not start. Nothing is said if nobody waits.
impl Write for Predecessor {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(stream) => (&**stream).write(text),
            None => Ok(text.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
