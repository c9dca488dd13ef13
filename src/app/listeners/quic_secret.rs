//! The secret of QUIC, from which all its keys are made. It is stored, so that clients of a process that has ended hear so at
//! once (RFC 9000 section 10.3), and keep what proves their addresses.

use tracing::debug;

use crate::server::QuicKeys;
use crate::storage::{Error, Key, Storage};

/// Returns the keys. If they cannot be stored, they last as long as the process.
pub(in crate::app) async fn keys(storage: &dyn Storage) -> QuicKeys {
    match stored(storage).await {
        Ok(keys) => keys,
        Err(error) => {
            debug!(%error, "the secret of QUIC is not stored");
            QuicKeys::random()
        }
    }
}

async fn stored(storage: &dyn Storage) -> Result<QuicKeys, Error> {
    let key = Key::new(&["quic", "secret"]);
    if let Some(secret) = load(storage, &key).await? {
        return Ok(QuicKeys::from_secret(&secret));
    }
    let _lock = storage.lock(&key).await?;
    if let Some(secret) = load(storage, &key).await? {
        return Ok(QuicKeys::from_secret(&secret));
    }
    let secret = QuicKeys::new_secret();
    storage.store(&key, &secret).await?;
    Ok(QuicKeys::from_secret(&secret))
}

/// Loads the secret. One of another length was not written by the proxy, and is replaced.
async fn load(
    storage: &dyn Storage,
    key: &Key,
) -> Result<Option<[u8; QuicKeys::SECRET_LEN]>, Error> {
    let stored = storage.load(key).await?;
    Ok(stored.and_then(|secret| secret.try_into().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    #[tokio::test]
    async fn the_secret_is_made_once_and_a_damaged_one_is_replaced() {
        let storage = MemoryStorage::default();
        let key = Key::new(&["quic", "secret"]);
        keys(&storage).await;
        let first = storage.load(&key).await.unwrap().unwrap();
        keys(&storage).await;
        assert_eq!(storage.load(&key).await.unwrap().unwrap(), first);
        storage.store(&key, b"short").await.unwrap();
        keys(&storage).await;
        let replaced = storage.load(&key).await.unwrap().unwrap();
        assert_eq!(replaced.len(), QuicKeys::SECRET_LEN);
        assert_ne!(replaced, first);
    }
}
