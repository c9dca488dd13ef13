//! `proxy fmt`: a Proxyfile in the one form that all have.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use super::source::{find_file, given_path};
use crate::config::{self, format_proxyfile};

/// What stands for standard input in the place of a file.
const STANDARD: &str = "-";

/// Why a file was not formatted, or is not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("there is no Proxyfile here; name one, as in `proxy fmt /etc/proxy/Proxyfile`")]
    Nothing,
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("cannot read {name}; name a readable Proxyfile, as in `proxy fmt Proxyfile`")]
    Read {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("{0} is no regular file; format what comes from it with `proxy fmt - < {0}`")]
    NoFile(String),
    #[error(
        "{name} has {count} names (hard links), and the others would keep the former text; run `proxy fmt - < {name}` and write its output there"
    )]
    ManyNames { name: String, count: u64 },
    #[error("{0} is not formatted; run `proxy fmt` on it")]
    Unformatted(String),
    #[error("cannot write {}, so it is as it was", path.display())]
    Replace {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write the answer")]
    Write(#[from] io::Error),
}

impl Error {
    /// Whether the user did it, and not the machine.
    pub(super) fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Nothing
                | Self::Config(_)
                | Self::Read { .. }
                | Self::NoFile(_)
                | Self::ManyNames { .. }
        )
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Fmt {
    /// Proxyfile to format, or `-` for standard input to standard output [default: ./Proxyfile, then /etc/proxy/Proxyfile]
    #[arg(value_name = "FILE", env = "PROXY_CONFIG")]
    file: Option<OsString>,
    /// Change nothing, and fail if the file is not formatted
    #[arg(long)]
    check: bool,
}

impl Fmt {
    pub(super) fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        let path = given_path(self.file).or_else(find_file);
        let path = path.ok_or(Error::Nothing)?;
        let is_standard = path.as_os_str() == STANDARD;
        let name = match is_standard {
            true => "standard input".to_owned(),
            false => path.display().to_string(),
        };
        let kind = fs::metadata(&path).ok().filter(|_| !is_standard);
        if !self.check && kind.as_ref().is_some_and(|kind| !kind.is_file()) {
            return Err(Error::NoFile(name));
        }
        let text = read(&path, is_standard).map_err(|source| Error::Read {
            name: name.clone(),
            source,
        })?;
        let formatted = format_proxyfile(Path::new(&name), &text)?;
        match (self.check, is_standard) {
            (true, _) if formatted != text => Err(Error::Unformatted(name)),
            (true, _) => Ok(()),
            (_, true) => Ok(out.write_all(formatted.as_bytes())?),
            _ if formatted == text => Ok(writeln!(out, "{name} was formatted already")?),
            _ if let Some(count) = kind.map(|kind| kind.nlink()).filter(|count| *count > 1) => {
                Err(Error::ManyNames { name, count })
            }
            _ => {
                replace(&path, &formatted, |from, to| fs::rename(from, to))
                    .map_err(|source| Error::Replace { path, source })?;
                Ok(writeln!(out, "{name} formatted")?)
            }
        }
    }
}

fn read(path: &Path, is_standard: bool) -> io::Result<String> {
    match is_standard {
        true => {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text)?;
            Ok(text)
        }
        false => fs::read_to_string(path),
    }
}

/// Gives a file another name.
type Rename = fn(&Path, &Path) -> io::Result<()>;

/// Puts another text in the place of a file's, whole or not at all, unless something is mounted on it. Its owner and permissions stay, and so does a link to it.
fn replace(path: &Path, text: &str, rename: Rename) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let done = fill(file, &path, text).and_then(|()| rename(&temporary, &path));
    if done.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    match done {
        // What something is mounted on, as in a container, keeps its place.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => overwrite(&path, text),
        done => done,
    }
}

fn overwrite(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)?;
    file.sync_all()
}

fn fill(mut file: File, like: &Path, text: &str) -> io::Result<()> {
    let (wanted, given) = (fs::metadata(like)?, file.metadata()?);
    if (wanted.uid(), wanted.gid()) != (given.uid(), given.gid()) {
        fchown(&file, Some(wanted.uid()), Some(wanted.gid()))?;
    }
    file.set_permissions(wanted.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_keeps_its_place_is_written_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Proxyfile");
        fs::write(&path, "a   =   1\n").unwrap();
        let inode = fs::metadata(&path).unwrap().ino();

        replace(&path, "a = 1\n", |_, _| {
            Err(io::ErrorKind::ResourceBusy.into())
        })
        .unwrap();

        assert_eq!(fs::read_to_string(&path).unwrap(), "a = 1\n");
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        replace(&path, "a = 2\n", |_, _| {
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a = 1\n");
    }
}
