//! docs/troubleshooting.md has every sentence that says why a certificate is missing, word for word.

mod machine;
mod orders;
mod quotations;
mod records;
mod samples;
mod waiting;

pub(crate) use quotations::quotations;
