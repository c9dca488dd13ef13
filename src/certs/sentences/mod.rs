//! docs/troubleshooting.md has every sentence that says why a certificate is missing, word for word.

mod machine;
mod orders;
mod records;
mod samples;
mod troubleshooting;
mod waiting;

pub(crate) use troubleshooting::quotations;
