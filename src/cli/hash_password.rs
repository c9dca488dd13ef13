//! `proxy hash-password`: what `basic-auth` takes in the place of a password.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::config::hash_password;

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot read the password")]
    Read(#[source] io::Error),
    #[error(
        "the password is empty; type one, or pipe it in as in `printf %s secret | proxy hash-password`"
    )]
    Empty,
    #[error("the two passwords differ; run the command again")]
    Differ,
    #[error("the system has no random numbers, without which a hash is not safe")]
    NoRandomness,
    #[error("cannot write the answer")]
    Write(#[source] io::Error),
}

impl Error {
    /// Whether the user did it, and not the machine.
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::Empty | Self::Differ)
    }
}

/// Writes the hash of the password that is typed twice at a terminal, or of the first line that is piped in.
pub(super) fn execute(out: &mut dyn Write) -> Result<(), Error> {
    let stdin = io::stdin();
    let password = match stdin.is_terminal() {
        true => ask()?,
        false => read_line(&mut stdin.lock())?,
    };
    write_hash(&password, out)
}

fn ask() -> Result<String, Error> {
    let prompt = |text| rpassword::prompt_password(text).map_err(Error::Read);
    let password = prompt("Password: ")?;
    match prompt("Once more: ")? == password {
        true => Ok(password),
        false => Err(Error::Differ),
    }
}

fn read_line(input: &mut dyn BufRead) -> Result<String, Error> {
    let mut line = String::new();
    input.read_line(&mut line).map_err(Error::Read)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn write_hash(password: &str, out: &mut dyn Write) -> Result<(), Error> {
    if password.is_empty() {
        return Err(Error::Empty);
    }
    let hash = hash_password(password).ok_or(Error::NoRandomness)?;
    writeln!(out, "{hash}").map_err(Error::Write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_is_piped_in_is_hashed_without_its_end() {
        for input in ["a b:ç\n", "a b:ç", "a b:ç\r\nanother\n"] {
            assert_eq!(read_line(&mut input.as_bytes()).unwrap(), "a b:ç");
        }
        let mut out = Vec::new();
        write_hash("a b:ç", &mut out).unwrap();
        let hash = String::from_utf8(out).unwrap();
        assert!(
            hash.starts_with("$argon2id$") && hash.ends_with('\n'),
            "{hash}"
        );
        assert!(matches!(write_hash("", &mut io::sink()), Err(Error::Empty)));
    }
}
