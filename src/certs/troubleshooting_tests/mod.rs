//! Test that docs/troubleshooting.md quotes, word for word, every sentence that explains a missing certificate.

mod before_the_order;
mod machine;
mod orders;
mod quotations;
mod records;
mod samples;

pub(crate) use quotations::quotations;
