//! The handover from one process to the next: what a process has been given by the one that started it, and the start of a
//! successor.

mod inherited;
mod predecessor;
mod successor;

pub use inherited::Inherited;
pub use predecessor::Predecessor;
pub(super) use successor::{Handover, Successor, SuccessorError, own_binary};
