//! The runtime of a command that asks and writes down the answer.

use std::io;

use super::error::Error;

/// Does `work` to its end.
pub(in crate::cli) fn wait_for(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    // Nothing here is worth a second thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    match runtime.block_on(work) {
        // Who reads no further, as `head` does, has what it wants.
        Err(Error::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}
