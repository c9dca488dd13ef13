//! Requests to the CA: HTTPS, the directory, retries and polls.

mod client;
mod clock_skew;
mod link;
mod options;
mod poll_schedule;
mod repetitions;
mod response;
mod tls;

pub use client::Client;
pub use clock_skew::ClockSkew;
pub use options::Options;

pub(super) use client::Call;
pub(super) use link::links;
pub(super) use poll_schedule::Polls;
pub(super) use repetitions::Repeat;
pub(super) use response::Response;
