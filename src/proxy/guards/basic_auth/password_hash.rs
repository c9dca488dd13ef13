//! Password hashes of the Proxyfile: argon2id and bcrypt, which are slow to compute on purpose.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier};

/// Reason why a text is not a usable password hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordHashError {
    /// Is neither argon2id nor bcrypt, or is malformed.
    #[error("it is not a valid argon2id or bcrypt hash; create one with `proxy hash-password`")]
    Scheme,
    /// Takes too much memory or time to verify.
    #[error(
        "it is too costly to verify at each login; create one with `proxy hash-password`, or with at most 256 MiB and 16 rounds of argon2id, or a bcrypt cost of at most 16"
    )]
    Cost,
}

/// Hash of one password in argon2id or bcrypt. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: Box<str>,
    scheme: Scheme,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Argon2id,
    Bcrypt,
}

/// Highest accepted costs of one verification.
const MAX_KIB: u32 = 256 * 1024;
const MAX_ROUNDS: u32 = 16;
const MAX_LANES: u32 = 16;
const MAX_BCRYPT_COST: u32 = 16;

impl PasswordHash {
    /// Parses `$argon2id$…`, `$2a$…`, `$2b$…` or `$2y$…`.
    pub fn parse(text: &str) -> Result<Self, PasswordHashError> {
        let scheme = if text.starts_with("$2") {
            check_bcrypt(text)?
        } else {
            check_argon2id(text)?
        };
        Ok(Self {
            text: text.into(),
            scheme,
        })
    }

    /// Hashes a password with argon2id and a new random salt. `None` if the system provides no random numbers.
    #[must_use]
    pub fn make(password: &str) -> Option<String> {
        let hash = Argon2::default().hash_password(password.as_bytes());
        hash.ok().map(|hash| hash.to_string())
    }

    /// `true` if `password` is the right one. Blocks for tens of milliseconds, and takes megabytes of memory.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match self.scheme {
            Scheme::Argon2id => Argon2::default()
                .verify_password(password, &*self.text)
                .is_ok(),
            Scheme::Bcrypt => bcrypt::verify(password, &self.text).unwrap_or(false),
        }
    }
}

fn check_bcrypt(text: &str) -> Result<Scheme, PasswordHashError> {
    let parts = bcrypt::HashParts::from_str(text).map_err(|_| PasswordHashError::Scheme)?;
    match parts.get_cost() {
        4..=MAX_BCRYPT_COST => Ok(Scheme::Bcrypt),
        _ => Err(PasswordHashError::Cost),
    }
}

fn check_argon2id(text: &str) -> Result<Scheme, PasswordHashError> {
    let hash = argon2::PasswordHash::new(text).map_err(|_| PasswordHashError::Scheme)?;
    let is_whole = hash.salt.is_some() && hash.hash.is_some();
    if hash.algorithm != Algorithm::Argon2id.ident() || !is_whole {
        return Err(PasswordHashError::Scheme);
    }
    let params = Params::try_from(&hash).map_err(|_| PasswordHashError::Scheme)?;
    let is_cheap =
        params.m_cost() <= MAX_KIB && params.t_cost() <= MAX_ROUNDS && params.p_cost() <= MAX_LANES;
    if is_cheap {
        Ok(Scheme::Argon2id)
    } else {
        Err(PasswordHashError::Cost)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Hash with the lowest possible cost.
    pub(crate) fn cheap(password: &str) -> PasswordHash {
        let params = Params::new(8, 1, 1, None).unwrap();
        let hash = Argon2::from(params).hash_password(password.as_bytes());
        PasswordHash::parse(&hash.unwrap().to_string()).unwrap()
    }

    #[test]
    fn a_hash_of_either_scheme_verifies_its_password_only() {
        let bcrypt = bcrypt::hash("pässword: 1", 4).unwrap();
        let apache = bcrypt.replacen("$2b$", "$2y$", 1);
        for hash in [PasswordHash::make("pässword: 1").unwrap(), bcrypt, apache] {
            let hash = PasswordHash::parse(&hash).unwrap();
            assert!(hash.verify("pässword: 1".as_bytes()));
            for wrong in ["password: 1", "pässword: 2", "", "pässword: 1 "] {
                assert!(!hash.verify(wrong.as_bytes()), "{wrong}");
            }
        }
    }

    #[test]
    fn each_hash_has_its_own_salt() {
        assert_ne!(PasswordHash::make("a"), PasswordHash::make("a"));
    }

    #[test]
    fn an_invalid_or_costly_hash_is_refused() {
        let good = PasswordHash::make("a").unwrap();
        for text in [
            "",
            "secret",
            "$2b$",
            "$apr1$salt$hash",
            "$argon2id$v=19$m=8,t=1,p=1",
            &good.replacen("argon2id", "argon2i", 1),
            &good.replacen("argon2id", "argon2d", 1),
        ] {
            let error = PasswordHash::parse(text).unwrap_err();
            assert_eq!(error, PasswordHashError::Scheme, "{text}");
        }
        let slow = bcrypt::hash("a", 4).unwrap().replacen("$04$", "$31$", 1);
        let large = good.replacen("m=19456", "m=4000000", 1);
        assert_ne!(large, good);
        for text in [slow, large] {
            let error = PasswordHash::parse(&text).unwrap_err();
            assert_eq!(error, PasswordHashError::Cost, "{text}");
        }
    }

    #[test]
    fn a_hash_is_not_printed() {
        let hash = PasswordHash::parse(&PasswordHash::make("a").unwrap()).unwrap();
        assert!(!format!("{hash:?}").contains("argon2"));
    }
}
