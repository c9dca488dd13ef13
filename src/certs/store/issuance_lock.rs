//! The lock that keeps two processes from ordering a certificate for one name at the same time.

use super::CertificateStore;
use crate::name::HostPattern;
use crate::storage::{self, Key, Lock};

impl CertificateStore {
    /// Waits for the lock of `subject`. Its holder looks in storage again before it orders: another process may have stored a
    /// certificate meanwhile.
    pub async fn lock_issuance(&self, subject: &HostPattern) -> Result<Lock, storage::Error> {
        let key = Key::new(&["issue", &subject.to_string()]);
        self.storage().lock(&key).await
    }
}
