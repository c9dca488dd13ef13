//! Hashes of passwords, as a Proxyfile takes them.

use crate::proxy::PasswordHash;

/// The hash of a password for `basic-auth`. `None` when the system has no random numbers.
#[must_use]
pub fn hash_password(password: &str) -> Option<String> {
    PasswordHash::make(password)
}
