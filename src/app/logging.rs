//! The log: lines on standard error, as text or JSON, panics among them.

use std::io;

use tracing::error;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{LogFormat, LogOptions};

/// Starts the log of the process. A second start, as in tests, changes nothing.
pub(super) fn start(options: &LogOptions) {
    let level = LevelFilter::from_level(options.level);
    // Crates below only speak up when something is wrong, unless everything is asked for.
    let others = level.min(LevelFilter::WARN);
    let filter = match options.level {
        tracing::Level::TRACE => Targets::new().with_default(level),
        _ => Targets::new()
            .with_default(others)
            // It warns of what clients send, as often as they like to send it.
            .with_target("rustls", others.min(LevelFilter::ERROR))
            .with_target(env!("CARGO_CRATE_NAME"), level),
    };
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    let layer = match options.format {
        LogFormat::Text => lines
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
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
            message, "a task panicked; its connection or order is lost, the rest goes on"
        );
    }));
}
