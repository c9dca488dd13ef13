//! Looking a file up. Blocks, and belongs on a thread for that.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::encoding::Encoding;
use super::file_path::FilePath;

/// The file that a folder is served as.
const INDEX: &str = "index.html";

/// A folder whose files are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) root: PathBuf,
    /// The file for paths without one, below the root.
    pub(super) fallback: Option<String>,
}

/// A file that is open for reading.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    pub(super) len: u64,
    pub(super) modified: Option<SystemTime>,
    pub(super) encoding: Option<Encoding>,
    /// The name without the coding's suffix.
    pub(super) name: String,
}

/// What lies at a path.
#[derive(Debug)]
pub(super) enum Lookup {
    File(OpenFile),
    /// A folder that has an index, and whose path lacks its slash.
    Folder,
    Nothing,
}

impl Folder {
    /// Opens what `path` names, in the first of the codings that there is.
    ///
    /// The root is opened anew each time, so that a link to it can be turned to another folder. Nothing below it leads
    /// out: the system resolves links inside of it only.
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

/// A file that is there as such, perhaps compressed. The compressed form of a file that is not there is not served.
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
    let facts = file.metadata()?;
    Ok(Some(OpenFile {
        file,
        len: facts.len(),
        modified: facts.modified().ok(),
        encoding,
        name,
    }))
}

/// Looked at before it is opened, since opening a pipe waits for who writes to it.
fn is_file(root: &Dir, path: &Path) -> io::Result<bool> {
    Ok(present(root.metadata(path))?.is_some_and(|facts| facts.is_file()))
}

/// `None` where there is nothing for the client: no such file, or a link that leads out.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound, PermissionDenied};
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.kind() {
            NotFound | NotADirectory | InvalidFilename => Ok(None),
            PermissionDenied if error.raw_os_error().is_none() => Ok(None),
            _ => Err(error),
        },
    }
}
