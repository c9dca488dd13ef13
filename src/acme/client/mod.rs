//! Requests to the CA: HTTPS, the directory, retries and polls.

mod client;
mod link;
mod options;
mod poll_schedule;
mod response;
mod tls;

pub use client::Client;
pub use options::Options;

pub(super) use client::{Call, Repeat};
pub(super) use link::links;
pub(super) use poll_schedule::Polls;
pub(super) use response::Response;
