//! `proxy doctor` and `proxy rehearse`: the way to the checks and to the orders, and their reports.

mod command;
mod rehearse;
mod report;

pub(super) use command::Doctor;
pub(super) use rehearse::Rehearse;
