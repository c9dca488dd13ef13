//! `proxy hash-password`: the hash that `basic-auth` takes instead of a password.

use std::io::{self, BufRead, IsTerminal, Write};

use super::failure::CommandError;
use crate::config::hash_password;

/// Reasons why there is no hash.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot read the password")]
    Read(#[source] io::Error),
    #[error(
        "the password is empty; type one, or pipe it in, for example with `printf %s secret | proxy hash-password`"
    )]
    Empty,
    #[error("the two passwords differ; run the command again")]
    Differ,
    #[error("the system provides no random numbers, and without them a hash is not safe")]
    NoRandomness,
    #[error("cannot write the output")]
    Write(#[source] io::Error),
}

impl CommandError for Error {
    fn is_usage(&self) -> bool {
        matches!(self, Self::Empty | Self::Differ)
    }
}

/// Reads a password twice from a terminal, or from the first line of a pipe, and writes its hash.
pub(super) fn execute(out: &mut dyn Write) -> Result<(), Error> {
    let stdin = io::stdin();
    let password = if stdin.is_terminal() {
        ask()?
    } else {
        read_line(&mut stdin.lock())?
    };
    write_hash(&password, out)
}

fn ask() -> Result<String, Error> {
    let prompt = |text| rpassword::prompt_password(text).map_err(Error::Read);
    let password = prompt("Password: ")?;
    if prompt("Once more: ")? == password {
        Ok(password)
    } else {
        Err(Error::Differ)
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
    fn a_piped_password_is_hashed_without_its_line_end() {
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
