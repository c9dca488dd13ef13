//! The data directory of the file storage: writes that are atomic, private and durable, and never lead out of it.
//!
//! Root may work in a directory that belongs to the proxy's own user. Whatever links that user has laid there, nothing outside
//! is written, removed or given away.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, MetadataExt, OpenOptions, OpenOptionsExt};

use super::owner::Owner;

/// Folder with files that are not complete yet.
const TEMPORARY: &str = "tmp";

/// Age at which a temporary file belongs to no running process any more.
const STALE: Duration = Duration::from_secs(3600);

/// A data directory on the local disk. All paths are relative to it.
#[derive(Clone, Debug)]
pub(super) struct DataDirectory {
    root: PathBuf,
    /// Owner of everything that is created. `None` means the user of the process.
    owner: Option<Owner>,
}

impl DataDirectory {
    /// Opens the directory. Creates it if it is missing.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        create_root(root)?;
        let directory = Self {
            root: root.to_owned(),
            owner: Owner::of(root)?,
        };
        directory.create_folder(&directory.dir()?, Path::new(TEMPORARY))?;
        directory.remove_stale_temporary_files()?;
        Ok(directory)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Checks that the directory can be written to.
    pub(super) fn probe(&self) -> io::Result<()> {
        let dir = self.dir()?;
        let (path, mut file) = self.create_temporary_file(&dir)?;
        let written = file.write_all(b"writable").and_then(|()| file.sync_all());
        dir.remove_file(path).and(written)
    }

    /// Replaces a file as a whole.
    pub(super) fn write(&self, path: &Path, value: &[u8]) -> io::Result<()> {
        let dir = self.dir()?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        self.create_folder(&dir, folder)?;
        let (scratch, mut file) = self.create_temporary_file(&dir)?;
        let rename = || match dir.rename(&scratch, &dir, path) {
            // Another task has removed the folder while it was still empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.create_folder(&dir, folder)?;
                dir.rename(&scratch, &dir, path)
            }
            renamed => renamed,
        };
        let done = file
            .write_all(value)
            .and_then(|()| file.sync_all())
            .and_then(|()| rename())
            .and_then(|()| sync(&dir, folder));
        if done.is_err() {
            let _ = dir.remove_file(&scratch);
        }
        done
    }

    /// Removes a file, and its folder with its last one, so that a million short-lived names leave nothing behind.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let dir = self.dir()?;
        match dir.remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if let Some(folder) = path.parent()
            && folder.iter().nth(1).is_some()
        {
            let _ = dir.remove_dir(folder);
        }
        Ok(())
    }

    /// Takes the lock on a file that is created for it. Returns `None` if somebody else holds it.
    pub(super) fn try_lock(&self, path: &Path) -> io::Result<Option<FileLock>> {
        let dir = self.dir()?;
        self.create_folder(&dir, path.parent().unwrap_or_else(|| Path::new("")))?;
        let Some(file) = self.open_lock_file(&dir, path)? else {
            return Ok(None);
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The last holder may have removed the file between our open and our lock. Such a lock protects nothing, since nobody
        // else can find that file.
        let inode = std::os::unix::fs::MetadataExt::ino(&file.metadata()?);
        let is_current = dir
            .metadata(path)
            .is_ok_and(|current| current.ino() == inode);
        Ok(is_current.then(|| FileLock {
            dir,
            path: path.to_owned(),
            _file: file,
        }))
    }

    /// Opens a lock file. Returns `None` if its last holder has removed it meanwhile.
    fn open_lock_file(&self, dir: &Dir, path: &Path) -> io::Result<Option<File>> {
        let mut options = OpenOptions::new();
        options.write(true).mode(0o600);
        match dir.open_with(path, options.clone().create_new(true)) {
            Ok(file) => {
                let file = file.into_std();
                self.give(&file)?;
                return Ok(Some(file));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        match dir.open_with(path, &options) {
            Ok(file) => Ok(Some(file.into_std())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes temporary files that a killed process has left. Recent ones may belong to a running process.
    fn remove_stale_temporary_files(&self) -> io::Result<()> {
        let folder = self.dir()?.open_dir(TEMPORARY)?;
        for entry in folder.entries()? {
            let entry = entry?;
            let modified = entry.metadata().and_then(|meta| meta.modified());
            let age = modified.map(|time| time.into_std().elapsed());
            if matches!(age, Ok(Ok(age)) if age > STALE) {
                let _ = entry.remove_file();
            }
        }
        Ok(())
    }

    fn create_temporary_file(&self, dir: &Dir) -> io::Result<(PathBuf, File)> {
        let path = Path::new(TEMPORARY).join(format!("{:016x}", fastrand::u64(..)));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = dir.open_with(&path, &options)?.into_std();
        self.give(&file)?;
        Ok((path, file))
    }

    /// Creates a folder and its parents. The content of a new folder survives a power loss only if its parent is synced too.
    fn create_folder(&self, dir: &Dir, folder: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        let mut path = PathBuf::new();
        for segment in folder {
            let parent = path.clone();
            path.push(segment);
            match dir.create_dir_with(&path, &builder) {
                Ok(()) => {
                    self.give(&dir.open(&path)?.into_std())?;
                    sync(dir, &parent)?;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn give(&self, created: &File) -> io::Result<()> {
        self.owner.map_or(Ok(()), |owner| owner.take(created))
    }

    fn dir(&self) -> io::Result<Dir> {
        Dir::open_ambient_dir(&self.root, ambient_authority())
    }
}

/// A locked file. It is removed before the lock is released, so that lock files do not pile up.
#[derive(Debug)]
pub(super) struct FileLock {
    dir: Dir,
    path: PathBuf,
    _file: File,
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let _ = self.dir.remove_file(&self.path);
    }
}

/// Syncs a folder, so that the names in it survive a power loss.
fn sync(dir: &Dir, folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    dir.open(folder)?.sync_all()
}

/// Creates the data directory and its parents, and syncs the parents of new ones.
fn create_root(root: &Path) -> io::Result<()> {
    let parents = parents_of_missing(root);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)?;
    for parent in parents {
        match File::open(parent) {
            Ok(folder) => folder.sync_all()?,
            // A parent of another owner may be writable but not readable.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the parents of all missing folders of `path`, lowest first.
fn parents_of_missing(path: &Path) -> Vec<&Path> {
    path.ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .filter_map(Path::parent)
        .map(|parent| {
            if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_parents_of_all_new_folders_are_to_be_synced() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let deep = root.join("a/b");
        assert_eq!(parents_of_missing(&deep), [&root.join("a"), root]);
        create_root(&deep).unwrap();
        assert!(parents_of_missing(&deep).is_empty());
        let relative = Path::new("folder-that-is-nowhere");
        assert_eq!(parents_of_missing(relative), [Path::new(".")]);
    }

    /// A data directory, and a folder beside it with one old file.
    fn beside_a_folder() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (data, outside) = (dir.path().join("data"), dir.path().join("outside"));
        fs::create_dir(&data).unwrap();
        fs::create_dir(&outside).unwrap();
        let file = File::create(outside.join("x.pem")).unwrap();
        let old = std::time::SystemTime::now() - 2 * STALE;
        file.set_modified(old).unwrap();
        (dir, data, outside)
    }

    #[test]
    fn no_link_leads_out_of_the_directory() {
        // Given links to another folder in the place of folders of the data directory.
        let (_dir, data, outside) = beside_a_folder();
        let directory = DataDirectory::open(&data).unwrap();
        symlink(&outside, data.join("certificates")).unwrap();
        symlink("../outside", data.join("locks")).unwrap();
        let below = |folder: &str| Path::new(folder).join("x.pem");

        // When something is written, removed or locked below them, it fails.
        assert!(directory.write(&below("certificates"), b"new").is_err());
        assert!(directory.remove(&below("certificates")).is_err());
        assert!(directory.try_lock(&below("locks")).is_err());

        // Then the other folder is as it was.
        assert_eq!(fs::read(outside.join("x.pem")).unwrap(), b"");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }

    #[test]
    fn a_linked_folder_of_temporary_files_is_refused_and_nothing_there_is_removed() {
        let (_dir, data, outside) = beside_a_folder();
        symlink(&outside, data.join(TEMPORARY)).unwrap();
        assert!(DataDirectory::open(&data).is_err());
        assert!(outside.join("x.pem").exists());
    }

    #[test]
    fn only_what_is_created_is_given_away() {
        use std::os::unix::fs::{MetadataExt, chown};
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let (_dir, data, _outside) = beside_a_folder();
        chown(&data, Some(1234), Some(5678)).unwrap();
        let directory = DataDirectory::open(&data).unwrap();
        fs::create_dir(data.join("locks")).unwrap();
        let (old, new) = (Path::new("locks/old"), Path::new("locks/new"));
        fs::write(data.join(old), b"").unwrap();

        let locks = [old, new].map(|path| directory.try_lock(path).unwrap().unwrap());

        let owner = |path: &Path| fs::metadata(data.join(path)).unwrap().uid();
        assert_eq!((owner(old), owner(new)), (0, 1234));
        drop(locks);
    }
}
