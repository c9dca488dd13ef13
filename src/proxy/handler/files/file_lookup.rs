//! The folder whose files are served, and the lookup of a file in it. Its calls block.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::file_path::FilePath;
use super::precompressed::Encoding;

/// Name of the file that a folder's own path is served as.
const INDEX: &str = "index.html";

/// A folder whose files are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) root: PathBuf,
    /// File that paths without a file get, relative to the root.
    pub(super) fallback: Option<String>,
}

/// A file opened for reading, with the facts that its response needs.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    pub(super) len: u64,
    pub(super) modified: Option<SystemTime>,
    pub(super) encoding: Option<Encoding>,
    /// Path below the root without the coding's suffix.
    pub(super) name: String,
}

/// Result of the lookup of a path.
#[derive(Debug)]
pub(super) enum Lookup {
    File(OpenFile),
    /// A folder with an index, whose path lacks the slash at its end.
    Folder,
    Nothing,
}

impl Folder {
    /// Opens the file at `path`, in the first of `encodings` that exists. Blocks.
    ///
    /// The root is opened anew each time, so that a symbolic link to it can be switched to another folder. Below the
    /// root, links are only followed inside it.
    pub(super) fn look_up(&self, path: &FilePath, encodings: &[Encoding]) -> io::Result<Lookup> {
        let root = Dir::open_ambient_dir(&self.root, ambient_authority())?;
        let found = if path.is_folder {
            open(&root, join(&path.relative, INDEX), encodings)?.map(Lookup::File)
        } else {
            look_up_file(&root, &path.relative, encodings)?
        };
        match (found, &self.fallback) {
            (Some(found), _) => Ok(found),
            (None, Some(fallback)) => {
                let found = open(&root, fallback.clone(), encodings)?;
                Ok(found.map_or(Lookup::Nothing, Lookup::File))
            }
            (None, None) => Ok(Lookup::Nothing),
        }
    }
}

fn look_up_file(root: &Dir, name: &str, encodings: &[Encoding]) -> io::Result<Option<Lookup>> {
    if let Some(found) = open(root, name.to_owned(), encodings)? {
        return Ok(Some(Lookup::File(found)));
    }
    let has_index = is_file(root, Path::new(&join(name, INDEX)))?;
    Ok(has_index.then_some(Lookup::Folder))
}

fn join(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

/// Opens a file, precompressed if possible. A precompressed file without its original is not served.
fn open(root: &Dir, name: String, encodings: &[Encoding]) -> io::Result<Option<OpenFile>> {
    if !is_file(root, Path::new(&name))? {
        return Ok(None);
    }
    for encoding in encodings {
        let compressed = format!("{name}{}", encoding.suffix());
        if is_file(root, Path::new(&compressed))? {
            return open_as(root, &compressed, name, Some(*encoding));
        }
    }
    open_as(root, &name.clone(), name, None)
}

fn open_as(
    root: &Dir,
    path: &str,
    name: String,
    encoding: Option<Encoding>,
) -> io::Result<Option<OpenFile>> {
    let Some(file) = present(root.open(path))? else {
        return Ok(None);
    };
    let file = file.into_std();
    let metadata = file.metadata()?;
    Ok(Some(OpenFile {
        file,
        len: metadata.len(),
        modified: metadata.modified().ok(),
        encoding,
        name,
    }))
}

/// `true` if the path leads to a regular file. Checked before the file is opened, since opening a named pipe would wait
/// for a writer.
fn is_file(root: &Dir, path: &Path) -> io::Result<bool> {
    Ok(present(root.metadata(path))?.is_some_and(|metadata| metadata.is_file()))
}

/// Turns errors that mean "not found" into `None`: no such file, or a link that leads out of the root.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound, PermissionDenied};
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.kind() {
            NotFound | NotADirectory | InvalidFilename => Ok(None),
            // Without an OS error, this is the refusal of a link that leads out.
            PermissionDenied if error.raw_os_error().is_none() => Ok(None),
            _ => Err(error),
        },
    }
}
