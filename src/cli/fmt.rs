//! `proxy fmt`: formats a Proxyfile in place, or from standard input to standard output.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use super::failure::CommandError;
use super::source::{find_file, given_path};
use crate::config::{self, format_proxyfile};

/// The argument for standard input.
const STANDARD: &str = "-";

/// Reasons why a file is not formatted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(
        "there is no Proxyfile here; give its path, for example `proxy fmt /etc/proxy/Proxyfile`"
    )]
    Nothing,
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(
        "cannot read {name}; give the path of a readable Proxyfile, for example `proxy fmt Proxyfile`"
    )]
    Read {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("{0} is not a regular file; format its content with `proxy fmt - < {0}`")]
    NoFile(String),
    #[error(
        "{name} has {count} hard links, and the other names would keep the old text; run `proxy fmt - < {name}` and write its output to the file"
    )]
    ManyNames { name: String, count: u64 },
    #[error("{0} is not formatted; run `proxy fmt` on it")]
    Unformatted(String),
    #[error("cannot write {}; the file is unchanged", path.display())]
    Replace {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write the output")]
    Write(#[from] io::Error),
}

impl CommandError for Error {
    fn is_usage(&self) -> bool {
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

/// Format a Proxyfile.
#[derive(Debug, clap::Args)]
pub(super) struct Fmt {
    /// Proxyfile to format, or `-` to read standard input and write standard output [default: ./Proxyfile, then /etc/proxy/Proxyfile]
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
        let name = if is_standard {
            "standard input".to_owned()
        } else {
            path.display().to_string()
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
            _ if formatted == text => Ok(writeln!(out, "{name} is already formatted")?),
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
    if !is_standard {
        return fs::read_to_string(path);
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

/// Renames a file.
type Rename = fn(&Path, &Path) -> io::Result<()>;

/// Replaces the text of a file, whole or not at all. Keeps its owner, its permissions and symbolic links to it. A file that is a
/// mount point is overwritten instead.
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
        // A mount point, such as a single file in a container, cannot be renamed over.
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
    fn a_mount_point_is_overwritten_in_place() {
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
