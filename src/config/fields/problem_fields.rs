//! The field of the receiver of messages about problems.

use super::codec::{Codec, text};
use crate::config::value::{ProblemReceiver, is_reference, read_secret};

/// A command, relative to the folder of the file, a URL, or a reference to a URL.
pub(crate) fn problem_receiver() -> Codec<ProblemReceiver> {
    Codec {
        read: Box::new(|value, folder, report| {
            let written = report.accept(value.start(), value.string())?;
            if is_reference(written) {
                let secret = read_secret(value, folder, report)?;
                let receiver = ProblemReceiver::referred(written, &secret);
                return report.accept(value.start(), receiver);
            }
            let parsed = ProblemReceiver::parse(value.key(), written, folder);
            let receiver = report.accept(value.start(), parsed)?;
            if let ProblemReceiver::Command(path) = &receiver {
                report.name_file(value.start(), value.key(), path);
            }
            Some(receiver)
        }),
        write: Box::new(|receiver| Some(text(receiver))),
    }
}
