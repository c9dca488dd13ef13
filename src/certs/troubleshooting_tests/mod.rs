//! Test that docs/troubleshooting.md quotes, word for word, every sentence that explains a missing certificate.

mod machine;
mod orders;
mod quotations;
mod records;
mod samples;
mod waiting;

pub(crate) use quotations::quotations;
