//! Accounts at a CA and the change of their keys.

mod account;
mod key_change;

pub use account::Account;
