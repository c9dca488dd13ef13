//! BalanceOptions algorithms, which pick a backend for each request.

mod candidates;
mod least_conn;
mod pick;
mod random_two;
mod round_robin;
mod sticky_cookie;

pub use sticky_cookie::is_cookie_name;

pub(super) use candidates::Candidates;
pub(super) use pick::pick;
pub(super) use round_robin::RoundRobin;
pub(super) use sticky_cookie::StickyCookie;
