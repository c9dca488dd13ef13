//! Messages to the renewal loop: a name, when it needs attention, and why.

use std::time::SystemTime;

use crate::certs::issuance::Purpose;
use crate::name::HostPattern;

/// A name, and the time at which it needs attention next.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) subject: HostPattern,
    pub(crate) at: SystemTime,
    pub(crate) purpose: Purpose,
}

/// A change of the schedule.
#[derive(Debug)]
pub(crate) enum Reminder {
    /// The name needs attention at this time and at no other.
    Set(Due),
    /// The name needs attention at this time, unless it has one already.
    SetIfAbsent(Due),
}
