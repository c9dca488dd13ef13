//! The log on standard error, as text or JSON. Panics are logged too. systemd's journal gets the priority of each line.
//!
//! A reader of standard error that stops reading delays nothing: lines wait in a queue, and are lost when it is full.

use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::fs::fstat;
use tracing::{Level, Metadata, error, warn};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{LogFormat, LogOptions};
use crate::non_blocking_writer::NonBlockingWriter;
use crate::printable::{short_line, single_line, takes_colours};

/// Target of events whose line stays whole, however long it is: it tells everything that an operator has to correct.
pub(in crate::app) const WHOLE: &str = concat!(env!("CARGO_CRATE_NAME"), "::whole");

/// The open log of the process.
#[derive(Debug)]
pub(in crate::app) struct Log {
    filter: reload::Handle<Targets, Registry>,
    lines: NonBlockingWriter,
    is_for_programs: bool,
}

impl Log {
    pub(in crate::app) fn set_level(&self, level: Level) {
        // Fails only if another log was installed before, as in tests.
        let _ = self.filter.reload(filter(level));
    }

    /// `true` if a program reads the lines: the journal, or one that takes JSON.
    pub(in crate::app) fn is_for_programs(&self) -> bool {
        self.is_for_programs
    }

    /// Waits until the last lines are written, but not long.
    pub(in crate::app) fn finish(&self) {
        self.lines.finish();
    }
}

/// Writes each event as one line, so that no text of a peer in it can pass for another event.
#[derive(Clone, Debug)]
struct SingleLines<W> {
    writer: W,
    /// `true` if long lines are shortened, so that no text of a peer floods the log.
    is_short: bool,
    /// `true` if the journal reads the lines.
    has_priorities: bool,
    /// Put before the line (sd-daemon(3)).
    priority: &'static str,
}

impl<'w, W: Write + Clone + 'w> MakeWriter<'w> for SingleLines<W> {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }

    /// Whoever asks for `debug` or `trace` gets those lines whole.
    fn make_writer_for(&'w self, event: &Metadata<'_>) -> Self {
        Self {
            is_short: self.is_short && *event.level() <= Level::INFO && event.target() != WHOLE,
            priority: if self.has_priorities {
                priority(*event.level())
            } else {
                ""
            },
            ..self.clone()
        }
    }
}

impl<W: Write> Write for SingleLines<W> {
    /// Writes an event, which the log always hands over as a whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = single_line(text.trim_end_matches('\n'));
        if self.is_short {
            line = short_line(&line).into_owned().into();
        }
        let priority = self.priority;
        self.writer
            .write_all(format!("{priority}{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Returns the prefix that tells the journal the priority of a line.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// `true` if the journal reads this output.
pub(in crate::app) fn journal_reads(output: impl AsFd) -> bool {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    is_journal(stream.as_deref(), output)
}

/// Returns the lines about a failed command as standard error gets them: with their priority if the journal reads them.
#[must_use]
pub fn error_lines(text: &str) -> String {
    if !journal_reads(io::stderr()) {
        return text.to_owned();
    }
    let priority = priority(Level::ERROR);
    text.lines()
        .map(|line| format!("{priority}{line}\n"))
        .collect()
}

/// `true` if `stream`, the value of JOURNAL_STREAM, names this output, and the journal reads it therefore (systemd.exec(5)).
fn is_journal(stream: Option<&str>, output: impl AsFd) -> bool {
    let named = stream.and_then(|stream| stream.split_once(':'));
    let named = named.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    let found = fstat(output).map(|found| (found.st_dev, found.st_ino));
    named.is_some_and(|named| found == Ok(named))
}

fn filter(level: Level) -> Targets {
    let is_all = level == Level::TRACE;
    let level = LevelFilter::from_level(level);
    // Other crates log only warnings and errors, except at the level `trace`.
    let others = level.min(LevelFilter::WARN);
    if is_all {
        return Targets::new().with_default(level);
    }
    Targets::new()
        .with_default(others)
        // Clients can cause warnings of rustls as often as they like.
        .with_target("rustls", others.min(LevelFilter::ERROR))
        .with_target(env!("CARGO_CRATE_NAME"), level)
}

/// Opens the log of the process. A second call, as in tests, changes nothing.
pub(in crate::app) fn start(options: &LogOptions) -> io::Result<Log> {
    let lines = NonBlockingWriter::start(io::stderr(), |lost| {
        warn!(
            lost,
            "lines of the log were lost: standard error was not read"
        );
    })?;
    let has_priorities = journal_reads(io::stderr());
    let writer = SingleLines {
        writer: lines.clone(),
        has_priorities,
        priority: "",
        // What reads JSON can take long lines, but no cut ones.
        is_short: options.format == LogFormat::Text,
    };
    let layer = fmt::layer().with_writer(writer).with_target(false);
    let layer = match options.format {
        // The journal has the time of each line, and its level.
        LogFormat::Text if has_priorities => layer.without_time().with_ansi(false).boxed(),
        LogFormat::Text => layer.with_ansi(takes_colours(&io::stderr())).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let (filter, handle) = reload::Layer::new(filter(options.level));
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        error!(
            place,
            message, "a task panicked: its connection or order is lost, everything else continues"
        );
    }));
    Ok(Log {
        filter: handle,
        lines,
        is_for_programs: has_priorities || options.format == LogFormat::Json,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let mut lines = SingleLines {
            writer: Vec::new(),
            is_short: true,
            has_priorities: false,
            priority: "",
        };
        lines
            .write_all("\u{1b}[32m INFO\u{1b}[0m a CN=x\nERROR\r b\n".as_bytes())
            .unwrap();
        lines.write_all(b"plain\n").unwrap();
        let expected = "\u{1b}[32m INFO\u{1b}[0m a CN=x\\nERROR\\r b\nplain\n";
        assert_eq!(String::from_utf8(lines.writer).unwrap(), expected);
    }

    #[test]
    fn the_journal_is_known_by_the_file_that_standard_error_is() {
        let file = tempfile::tempfile().unwrap();
        let found = fstat(&file).unwrap();
        let of = |device: u64, inode: u64| format!("{device}:{inode}");
        for (stream, expected) in [
            (Some(of(found.st_dev, found.st_ino)), true),
            (Some(of(found.st_dev, found.st_ino + 1)), false),
            (Some("8".to_owned()), false),
            (None, false),
        ] {
            assert_eq!(is_journal(stream.as_deref(), &file), expected, "{stream:?}");
        }
    }
}
