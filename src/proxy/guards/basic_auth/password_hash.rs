//! Passwords as they are kept: as hashes that are slow to compute.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier};

/// Why a text is not the hash of a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordHashError {
    /// Neither of the two schemes, or malformed.
    #[error("it is no argon2id or bcrypt hash; make one with `proxy hash-password`")]
    Scheme,
    /// Each look at the password would hold up the machine.
    #[error(
        "its cost is too high to be paid at each login; make one with `proxy hash-password`, or with at most 256 MiB and 16 rounds of argon2id or a bcrypt cost of 16"
    )]
    Cost,
}

/// The hash of one password, in argon2id or bcrypt.
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

/// What one verification may cost.
const MOST_KIB: u32 = 256 * 1024;
const MOST_ROUNDS: u32 = 16;
const MOST_LANES: u32 = 16;
const MOST_BCRYPT: u32 = 16;

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

    /// The argon2id hash of a password, under a salt of its own. `None` when the system has no random numbers.
    #[must_use]
    pub fn make(password: &str) -> Option<String> {
        let hash = Argon2::default().hash_password(password.as_bytes());
        hash.ok().map(|hash| hash.to_string())
    }

    /// Whether `password` is the one. Takes tens of milliseconds and megabytes.
    pub(in crate::proxy::guards) fn verify(&self, password: &[u8]) -> bool {
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
        4..=MOST_BCRYPT => Ok(Scheme::Bcrypt),
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
    let is_cheap = params.m_cost() <= MOST_KIB
        && params.t_cost() <= MOST_ROUNDS
        && params.p_cost() <= MOST_LANES;
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
pub(in crate::proxy::guards) mod tests {
    use super::*;

    /// A hash that costs as little as one may.
    pub(in crate::proxy) fn cheap(password: &str) -> PasswordHash {
        let params = Params::new(8, 1, 1, None).unwrap();
        let hash = Argon2::from(params).hash_password(password.as_bytes());
        PasswordHash::parse(&hash.unwrap().to_string()).unwrap()
    }

    #[test]
    fn a_hash_of_either_kind_knows_its_password() {
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
    fn each_hash_has_a_salt_of_its_own() {
        assert_ne!(PasswordHash::make("a"), PasswordHash::make("a"));
    }

    #[test]
    fn what_is_no_hash_or_costs_too_much_is_refused() {
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
        let dear = bcrypt::hash("a", 4).unwrap().replacen("$04$", "$31$", 1);
        let large = good.replacen("m=19456", "m=4000000", 1);
        assert_ne!(large, good);
        for text in [dear, large] {
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
