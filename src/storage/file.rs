//! Records as files in a data directory: folders 0700, files 0600, each written to a temporary file, synced and renamed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};

use super::data_directory::DataDirectory;
use super::page::PageBuilder;
use super::{Error, Key, Listing, Lock, PageRequest, Storage};

/// Interval of attempts to take a lock that another process holds.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// Number of keys in a batch.
const BATCH: usize = 256;

/// Storage in a data directory on the local disk.
#[derive(Clone, Debug)]
pub struct FileStorage {
    directory: DataDirectory,
}

impl FileStorage {
    /// Opens a data directory. Creates it if it is missing.
    pub fn open(root: &Path) -> Result<Self, Error> {
        match DataDirectory::open(root) {
            Ok(directory) => Ok(Self { directory }),
            Err(source) => Err(Error::Directory {
                path: root.to_owned(),
                source,
            }),
        }
    }

    /// Checks that the directory can be written to.
    pub fn probe(&self) -> Result<(), Error> {
        self.directory.probe().map_err(|source| Error::Directory {
            path: self.directory.root().to_owned(),
            source,
        })
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.directory.root().join(key.as_str())
    }

    /// Changes the file of a record on a thread that may block.
    async fn change<T: Send + 'static>(
        &self,
        relative: PathBuf,
        change: impl FnOnce(&DataDirectory, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let directory = self.directory.clone();
        blocking(move || {
            change(&directory, &relative).map_err(|source| Error::Write {
                path: directory.root().join(relative),
                source,
            })
        })
        .await
    }
}

/// A listing in progress.
#[derive(Debug)]
struct Folder {
    key: Key,
    path: PathBuf,
    entries: Option<fs::ReadDir>,
}

impl Folder {
    fn next_batch(mut self) -> Result<Option<(Vec<Key>, Self)>, Error> {
        match self.read() {
            Ok(batch) if batch.is_empty() => Ok(None),
            Ok(batch) => Ok(Some((batch, self))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Read {
                path: self.path,
                source,
            }),
        }
    }

    fn read(&mut self) -> io::Result<Vec<Key>> {
        let entries = match &mut self.entries {
            Some(entries) => entries,
            entries => entries.insert(fs::read_dir(&self.path)?),
        };
        let mut batch = Vec::new();
        for entry in entries.take(BATCH) {
            batch.push(self.key.below(&entry?.file_name().to_string_lossy()));
        }
        Ok(batch)
    }
}

impl Storage for FileStorage {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        let path = self.path(key);
        async move {
            match tokio::fs::read(&path).await {
                Ok(value) => Ok(Some(value)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(Error::Read { path, source }),
            }
        }
        .boxed()
    }

    fn store<'a>(&'a self, key: &'a Key, value: &'a [u8]) -> BoxFuture<'a, Result<(), Error>> {
        let value = value.to_vec();
        self.change(key.as_str().into(), move |directory, path| {
            directory.write(path, &value)
        })
        .boxed()
    }

    fn delete<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<(), Error>> {
        self.change(key.as_str().into(), DataDirectory::remove)
            .boxed()
    }

    fn list(&self, folder: &Key) -> Listing {
        let folder = Folder {
            key: folder.clone(),
            path: self.path(folder),
            entries: None,
        };
        futures_util::stream::try_unfold(folder, |folder| blocking(move || folder.next_batch()))
            .boxed()
    }

    fn lock<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lock, Error>> {
        let path = Path::new("locks").join(key.as_str());
        async move {
            loop {
                let attempt = self.change(path.clone(), DataDirectory::try_lock);
                if let Some(lock) = attempt.await? {
                    return Ok(Lock::new(lock));
                }
                tokio::time::sleep(LOCK_RETRY).await;
            }
        }
        .boxed()
    }

    fn page<'a>(&'a self, request: PageRequest<'a>) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        let path = self.path(request.folder);
        let builder = PageBuilder::new(request);
        blocking(move || read_page(&path, builder).map_err(|source| Error::Read { path, source }))
            .boxed()
    }

    fn location(&self, key: &Key) -> String {
        self.path(key).display().to_string()
    }
}

fn read_page(folder: &Path, mut builder: PageBuilder) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    for entry in entries {
        // Segments are always text.
        if let Some(segment) = entry?.file_name().to_str() {
            builder.offer(segment);
        }
    }
    Ok(builder.finish())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, so nobody waits for the result.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::storage::owner::Owner;

    fn storage() -> (tempfile::TempDir, FileStorage) {
        let dir = tempfile::tempdir().unwrap();
        let storage = FileStorage::open(&dir.path().join("data")).unwrap();
        (dir, storage)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_record_is_private_and_replaced_whole() {
        let (dir, storage) = storage();
        let key = Key::new(&["certificates", "ca", "www.example.org"]);
        assert_eq!(storage.load(&key).await.unwrap(), None);

        storage.store(&key, b"one").await.unwrap();
        storage.store(&key, b"two").await.unwrap();

        assert_eq!(
            storage.load(&key).await.unwrap().as_deref(),
            Some(&b"two"[..])
        );
        let data = dir.path().join("data");
        assert_eq!(mode(&data), 0o700);
        assert_eq!(mode(&data.join("certificates/ca")), 0o700);
        assert_eq!(mode(&data.join("certificates/ca/www.example.org")), 0o600);
        assert_eq!(fs::read_dir(data.join("tmp")).unwrap().count(), 0);

        storage.delete(&key).await.unwrap();
        storage.delete(&key).await.unwrap();
        assert_eq!(storage.load(&key).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_root_writes_belongs_to_the_owner_of_the_data_directory() {
        let (dir, opened) = storage();
        let data = dir.path().join("data");
        if !rustix::process::geteuid().is_root() {
            let owner = Owner::of(&data).unwrap();
            assert!(owner.is_none(), "only root can give files away");
            return;
        }
        drop(opened);
        for folder in [data.clone(), data.join("tmp")] {
            std::os::unix::fs::chown(folder, Some(1234), Some(5678)).unwrap();
        }
        let storage = FileStorage::open(&data).unwrap();
        let key = Key::new(&["certificates", "ca", "www.example.org", "x.pem"]);

        storage.store(&key, b"one").await.unwrap();
        let lock = storage.lock(&Key::new(&["issue", "www.example.org"])).await;

        for path in [
            "certificates",
            "certificates/ca/www.example.org",
            key.as_str(),
            "locks/issue",
            "locks/issue/www.example.org",
        ] {
            let meta = fs::metadata(data.join(path)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (1234, 5678), "{path}");
        }
        drop(lock);
    }

    #[tokio::test]
    async fn a_folder_is_paged_and_one_that_is_missing_is_empty() {
        let (_dir, storage) = storage();
        for name in ["b.example", "*.example", "a.example"] {
            let key = Key::new(&["certificates", "ca", name]);
            storage.store(&key, b"x").await.unwrap();
        }
        let page = async |folder: &Key| {
            let request = PageRequest {
                folder,
                ending: "",
                after: None,
                limit: 10,
            };
            storage.page(request).await.unwrap()
        };
        let segments = page(&Key::new(&["certificates", "ca"])).await;
        assert_eq!(segments, ["_wildcard.example", "a.example", "b.example"]);
        assert_eq!(Key::decode(&segments[0]).unwrap(), "*.example");
        assert!(page(&Key::new(&["nothing"])).await.is_empty());
    }

    #[tokio::test]
    async fn a_folder_is_listed_in_batches_and_removed_with_its_last_record() {
        let (dir, storage) = storage();
        let key = |n: usize| Key::new(&["certificates", "ca", &format!("n{n}.example"), "x.pem"]);
        let folder = Key::new(&["certificates", "ca"]);
        assert!(storage.list(&folder).next().await.is_none());
        // Written directly, since `store` syncs each record.
        for n in 0..2 * BATCH + 1 {
            let path = dir.path().join("data").join(key(n).as_str());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        let batches = storage.list(&folder).map(Result::unwrap);
        let batches = batches.collect::<Vec<_>>().await;
        assert_eq!(batches.iter().map(Vec::len).max(), Some(BATCH));
        let names = batches.concat().into_iter();
        let names = names.map(|key| key.last_segment().unwrap());
        let names = names.collect::<std::collections::HashSet<_>>();
        assert_eq!(names.len(), 2 * BATCH + 1);

        storage
            .store(&folder.join("n0.example").join("y"), b"y")
            .await
            .unwrap();
        for n in 0..2 * BATCH + 1 {
            storage.delete(&key(n)).await.unwrap();
        }

        let left = storage.list(&folder).next().await.unwrap().unwrap();
        assert_eq!(left, [folder.join("n0.example")]);
    }

    #[tokio::test]
    async fn a_failed_write_names_the_file_and_leaves_no_trace() {
        let (dir, storage) = storage();
        storage
            .store(&Key::new(&["a"]), b"a file, not a folder")
            .await
            .unwrap();

        let error = storage
            .store(&Key::new(&["a", "b"]), b"x")
            .await
            .unwrap_err();

        assert!(
            error.to_string().contains("/data/a/b cannot be written"),
            "{error}"
        );
        assert_eq!(
            fs::read_dir(dir.path().join("data/tmp")).unwrap().count(),
            0
        );
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_refused_with_the_fix() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), b"").unwrap();
        let error = FileStorage::open(&dir.path().join("file/data")).unwrap_err();
        assert!(error.to_string().contains("--storage"), "{error}");
        assert!(!error.is_disk_unwritable());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_lock_has_one_holder_at_a_time() {
        let (dir, storage) = storage();
        let inside = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let key = Key::new(&["issue", "www.example.org"]);
        let contenders = (0..8).map(|_| {
            let (storage, key, inside) = (storage.clone(), key.clone(), inside.clone());
            async move {
                for _ in 0..5 {
                    let lock = storage.lock(&key).await.unwrap();
                    let others = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    assert_eq!(others, 0);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    drop(lock);
                }
            }
        });
        futures_util::future::join_all(contenders).await;
        assert_eq!(
            fs::read_dir(dir.path().join("data/locks/issue"))
                .unwrap()
                .count(),
            0
        );
    }
}
