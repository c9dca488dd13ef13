//! The log on standard error, as text or JSON. Panics are logged too.
//!
//! A reader of standard error that stops reading delays nothing: lines wait in a queue, and are lost when it is full.

use std::io::{self, Write};

use tracing::{Level, Metadata, error, warn};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{LogFormat, LogOptions};
use crate::non_blocking_writer::NonBlockingWriter;
use crate::printable::{short_line, single_line};

/// Target of events whose line stays whole, however long it is: it tells everything that an operator has to correct.
pub(super) const WHOLE: &str = concat!(env!("CARGO_CRATE_NAME"), "::whole");

/// The open log of the process.
#[derive(Debug)]
pub(super) struct Log {
    filter: reload::Handle<Targets, Registry>,
    lines: NonBlockingWriter,
}

impl Log {
    pub(super) fn set_level(&self, level: Level) {
        // Fails only if another log was installed before, as in tests.
        let _ = self.filter.reload(filter(level));
    }

    /// Waits until the last lines are written, but not long.
    pub(super) fn finish(&self) {
        self.lines.finish();
    }
}

/// Writes each event as one line, so that no text of a peer in it can pass for another event.
#[derive(Clone, Debug)]
struct SingleLines<W> {
    writer: W,
    /// `true` if long lines are shortened, so that no text of a peer floods the log.
    is_short: bool,
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
        self.writer.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
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
pub(super) fn start(options: &LogOptions) -> io::Result<Log> {
    let lines = NonBlockingWriter::start(io::stderr(), |lost| {
        warn!(
            lost,
            "lines of the log were lost: standard error was not read"
        );
    })?;
    let writer = SingleLines {
        writer: lines.clone(),
        // What reads JSON can take long lines, but no cut ones.
        is_short: options.format == LogFormat::Text,
    };
    let layer = fmt::layer().with_writer(writer).with_target(false);
    let layer = match options.format {
        LogFormat::Text => layer
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .boxed(),
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
        };
        lines
            .write_all("\u{1b}[32m INFO\u{1b}[0m a CN=x\nERROR\r b\n".as_bytes())
            .unwrap();
        lines.write_all(b"plain\n").unwrap();
        let expected = "\u{1b}[32m INFO\u{1b}[0m a CN=x\\nERROR\\r b\nplain\n";
        assert_eq!(String::from_utf8(lines.writer).unwrap(), expected);
    }
}
