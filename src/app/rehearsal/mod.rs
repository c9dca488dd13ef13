//! `proxy rehearse`: orders at staging CAs for all names, whose certificates are thrown away.

mod rehearsal;
mod staging;

pub(super) use rehearsal::Rehearsal;
