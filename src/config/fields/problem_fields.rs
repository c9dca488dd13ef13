//! The field of the receiver of messages about problems.

use super::codec::{Codec, text};
use crate::config::value::ProblemReceiver;

/// A command, relative to the folder of the file, or a URL.
pub(crate) fn problem_receiver() -> Codec<ProblemReceiver> {
    Codec {
        read: Box::new(|value, folder, report| {
            let parsed = report.accept(value.start(), value.string())?;
            let parsed = ProblemReceiver::parse(value.key(), parsed, folder);
            let receiver = report.accept(value.start(), parsed)?;
            if let ProblemReceiver::Command(path) = &receiver {
                report.name_file(value.start(), value.key(), path);
            }
            Some(receiver)
        }),
        write: Box::new(|receiver| Some(text(receiver))),
    }
}
