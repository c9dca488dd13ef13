//! A writer that never blocks its callers: lines wait in a bounded queue, which a thread of its own writes.
//!
//! The threads that serve requests must not wait for the reader of a log. A pipe that nobody reads would stop them all.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Maximum number of waiting bytes. As many more may be on their way to the stream.
const CAPACITY: usize = 1024 * 1024;
/// Pause between two attempts to write to a stream that another process has made non-blocking.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// Longest time that the end of the process waits for the last lines.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// Writes lines to a stream such as standard error. Clones write to the same queue.
///
/// If several threads write, each call of [`write`](Write::write) must pass whole lines. Lines that find no room are lost, and
/// counted.
#[derive(Clone, Debug)]
pub struct NonBlockingWriter(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Number of lines lost since the last report.
    lost: u64,
    /// `true` while the thread writes lines that it has taken.
    is_writing: bool,
}

impl NonBlockingWriter {
    /// Starts the thread that writes to `stream`. It calls `report` with the number of lost lines as soon as the stream
    /// takes lines again.
    pub fn start<W, R>(stream: W, report: R) -> io::Result<Self>
    where
        W: Write + Send + 'static,
        R: Fn(u64) + Send + 'static,
    {
        let queue = Arc::<Queue>::default();
        let thread_queue = Arc::clone(&queue);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || thread_queue.write_to(stream, report))?;
        Ok(Self(queue))
    }

    /// Waits until all lines are written, but not long. Call it at the end of the process.
    pub fn finish(&self) {
        self.finish_within(FINISH_TIMEOUT);
    }

    fn finish_within(&self, timeout: Duration) {
        let mut state = self.0.state.lock();
        let has_lines = |state: &mut State| state.is_writing || !state.lines.is_empty();
        self.0
            .changed
            .wait_while_for(&mut state, has_lines, timeout);
    }
}

impl Write for NonBlockingWriter {
    /// Never fails and never blocks.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        if state.lines.len() + lines.len() > CAPACITY {
            state.lost += count_lines(lines);
        } else {
            state.lines.extend_from_slice(lines);
            self.0.changed.notify_all();
        }
        Ok(lines.len())
    }

    /// Does nothing: see [`finish`](Self::finish).
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Queue {
    /// Writes to `stream` as long as the process lives.
    fn write_to(&self, mut stream: impl Write, report: impl Fn(u64)) {
        let mut is_flowing = true;
        loop {
            let (lines, lost) = self.take(is_flowing);
            if lost > 0 {
                // The report may be a line of this queue. It has room now, and stands where the lost lines would.
                report(lost);
            }
            let unwritten = write_lines(&mut stream, &lines);
            is_flowing = unwritten == 0;
            self.state.lock().lost += unwritten;
        }
    }

    /// Waits for lines. Takes the count of lost lines too, but only while the stream takes lines: a report that fails would
    /// be lost itself.
    fn take(&self, is_flowing: bool) -> (Vec<u8>, u64) {
        let mut state = self.state.lock();
        while state.lines.is_empty() && !(is_flowing && state.lost > 0) {
            state.is_writing = false;
            self.changed.notify_all();
            self.changed.wait(&mut state);
        }
        state.is_writing = true;
        let lost = if is_flowing {
            std::mem::take(&mut state.lost)
        } else {
            0
        };
        (std::mem::take(&mut state.lines), lost)
    }
}

/// Writes all lines, however long it takes. Returns the number of lines that could not be written.
fn write_lines(stream: &mut impl Write, mut lines: &[u8]) -> u64 {
    while !lines.is_empty() {
        match stream.write(lines) {
            Ok(0) => return count_lines(lines),
            Ok(len) => lines = &lines[len..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::park_timeout(RETRY_PAUSE)
            }
            Err(_) => return count_lines(lines),
        }
    }
    0
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    const LINE: [u8; 64] = *b"a line of sixty-three bytes, which says nothing that matters...\n";
    /// More lines than the queue and a pipe hold, even if the thread has taken a full queue.
    const TOO_MANY: usize = 3 * CAPACITY / LINE.len();

    /// A writer to a new pipe, and the counts that it reports.
    fn piped() -> (io::PipeReader, NonBlockingWriter, Receiver<u64>) {
        let (reader, stream) = io::pipe().unwrap();
        let (reports, counts) = channel();
        let report = move |lost| reports.send(lost).unwrap();
        let writer = NonBlockingWriter::start(stream, report).unwrap();
        (reader, writer, counts)
    }

    #[test]
    fn lines_are_written_in_order_before_the_end() {
        let (reader, mut writer, _counts) = piped();
        for line in ["first\n", "second\n", "third\n"] {
            writer.write_all(line.as_bytes()).unwrap();
        }
        writer.finish_within(Duration::from_secs(60));
        let lines = BufReader::new(reader).lines().take(3);
        let lines: Vec<_> = lines.map(Result::unwrap).collect();
        assert_eq!(lines, ["first", "second", "third"]);
    }

    #[test]
    fn lines_that_nobody_reads_are_lost_and_counted_once_they_flow_again() {
        let (mut reader, mut writer, counts) = piped();
        // More than a pipe holds. The thread has to be stuck in them before the queue is filled.
        const STUCK: usize = 16 * 1024;
        writer.write_all(&LINE.repeat(STUCK)).unwrap();
        while !writer.0.state.lock().lines.is_empty() {
            thread::yield_now();
        }
        for _ in 0..TOO_MANY - STUCK {
            writer.write_all(&LINE).unwrap();
        }
        writer.finish_within(Duration::from_millis(1));
        assert!(counts.try_recv().is_err());

        let reading = thread::spawn(move || {
            let mut line = [0; LINE.len()];
            let mut read = 0;
            while reader.read_exact(&mut line).is_ok() && line == LINE {
                read += 1;
            }
            read
        });

        let lost = counts.recv().unwrap();
        writer.finish_within(Duration::from_secs(60));
        let mut end = [b'.'; LINE.len()];
        end[LINE.len() - 1] = b'\n';
        writer.write_all(&end).unwrap();
        let read: u64 = reading.join().unwrap();
        assert!(lost > 0);
        assert_eq!(read + lost, TOO_MANY as u64);
    }

    #[test]
    fn a_reader_that_is_gone_loses_lines_and_ends_no_thread() {
        struct Failing(usize);

        impl Write for Failing {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => Err(ErrorKind::Interrupted.into()),
                    2 => Err(ErrorKind::WouldBlock.into()),
                    3 => Err(ErrorKind::BrokenPipe.into()),
                    _ => Ok(bytes.len()),
                }
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let (reports, counts) = channel();
        let report = move |lost| reports.send(lost).unwrap();
        let mut writer = NonBlockingWriter::start(Failing(0), report).unwrap();
        writer.write_all(b"one\ntwo\n").unwrap();
        writer.finish_within(Duration::from_secs(60));
        writer.write_all(b"three\n").unwrap();
        assert_eq!(counts.recv().unwrap(), 2);
    }
}
