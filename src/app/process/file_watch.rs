//! The watch over the Proxyfile and the files that it names: tells when one of them has changed and is whole.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Time between two looks. A file that is still being written differs from one look to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// State of a file, which differs also if a link to it is swapped, as editors and Kubernetes do: device, inode, size, and the
/// seconds and nanoseconds of its last change. `None` if there is no such file.
type Stamp = Option<FileState>;
type FileState = (u64, u64, u64, i64, i64);

/// The watched files.
#[derive(Debug)]
pub(in crate::app) struct FileWatch {
    files: Vec<PathBuf>,
    /// The files as they were read last.
    known: Vec<Stamp>,
    /// The files at the last look, if they differed from those.
    changing: Option<Vec<Stamp>>,
    /// When they were read last.
    read_at: SystemTime,
}

impl FileWatch {
    /// Watches these files, from their present state on. Without files, there is never a change.
    pub(in crate::app) async fn new(files: Vec<PathBuf>) -> Self {
        let read_at = SystemTime::now();
        Self {
            known: stamps(files.clone()).await,
            files,
            changing: None,
            read_at,
        }
    }

    /// Watches these files instead. Those that it watched already keep the state in which they were read. Those that came
    /// after that were not read.
    pub(in crate::app) async fn follow(&mut self, files: Vec<PathBuf>) {
        if files == self.files {
            return;
        }
        let mut now = stamps(files.clone()).await;
        for (file, stamp) in files.iter().zip(&mut now) {
            if let Some(index) = self.files.iter().position(|known| known == file) {
                *stamp = self.known[index];
            } else if stamp.is_some_and(|stamp| is_later(stamp, self.read_at)) {
                *stamp = None;
            }
        }
        *self = Self {
            files,
            known: now,
            changing: None,
            read_at: self.read_at,
        };
    }

    /// Records that the files are about to be read, as they are now.
    pub(in crate::app) async fn note_read(&mut self) {
        self.read_at = SystemTime::now();
        self.known = stamps(self.files.clone()).await;
        self.changing = None;
    }

    /// `true` if nothing is watched.
    pub(in crate::app) fn is_idle(&self) -> bool {
        self.files.is_empty()
    }

    /// Waits until a file has changed and stays the same for two looks. A change that is written over meanwhile counts once.
    /// Cancel safe.
    pub(in crate::app) async fn changed(&mut self) {
        loop {
            sleep(INTERVAL).await;
            let now = stamps(self.files.clone()).await;
            if now == self.known {
                self.changing = None;
            } else if self.changing.as_ref() == Some(&now) {
                self.known = now;
                self.changing = None;
                return;
            } else {
                self.changing = Some(now);
            }
        }
    }
}

async fn stamps(files: Vec<PathBuf>) -> Vec<Stamp> {
    let read = move || files.iter().map(|file| stamp(file)).collect();
    spawn_blocking(read).await.unwrap_or_default()
}

/// Follows links. Folders have no stamp: what lies in them is not read by a reload.
fn stamp(file: &Path) -> Stamp {
    let found = fs::metadata(file).ok().filter(fs::Metadata::is_file)?;
    Some((
        found.dev(),
        found.ino(),
        found.size(),
        found.ctime(),
        found.ctime_nsec(),
    ))
}

/// `true` if the last change of a file was after `moment`.
fn is_later((.., seconds, nanoseconds): FileState, moment: SystemTime) -> bool {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let changed = (u64::try_from(seconds), u32::try_from(nanoseconds));
    matches!(changed, (Ok(seconds), Ok(nanos)) if Duration::new(seconds, nanos) > since)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use futures_util::FutureExt;
    use tokio::time::timeout;

    use super::*;

    /// Time in which a change is always seen.
    const SOON: Duration = Duration::from_secs(10);

    async fn watch(path: &Path) -> FileWatch {
        FileWatch::new(vec![path.to_owned()]).await
    }

    /// `true` if a change is told within three looks.
    async fn tells(watch: &mut FileWatch) -> bool {
        timeout(INTERVAL * 3 + INTERVAL / 2, watch.changed())
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn each_change_of_a_file_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Proxyfile");
        fs::write(&path, "one").unwrap();
        let mut watch = watch(&path).await;
        assert!(!tells(&mut watch).await);

        fs::write(&path, "other").unwrap();
        assert!(tells(&mut watch).await);
        assert!(!tells(&mut watch).await);

        // As editors write: another file takes the place.
        fs::write(dir.path().join("new"), "other").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        assert!(tells(&mut watch).await);

        // Whoever reads the file in another way need not be told.
        fs::write(&path, "third").unwrap();
        watch.note_read().await;
        assert!(!tells(&mut watch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_came_after_the_read_that_lacked_it_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let (path, secret) = (dir.path().join("Proxyfile"), dir.path().join("secret"));
        fs::write(&path, "").unwrap();
        let mut watch = watch(&path).await;
        watch.note_read().await;
        // Files have the time of the last tick of the kernel's clock.
        let read_at = watch.read_at;
        while SystemTime::now() < read_at + Duration::from_millis(20) {
            tokio::task::yield_now().await;
        }
        fs::write(&secret, "").unwrap();
        watch.follow(vec![path, secret]).await;
        assert!(tells(&mut watch).await);
        assert!(!tells(&mut watch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_leads_elsewhere_is_a_change() {
        // As Kubernetes mounts a ConfigMap: the file is a link through `..data`, which is swapped.
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for version in ["v1", "v2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("Proxyfile"), "text").unwrap();
        }
        symlink("v1", at("..data")).unwrap();
        symlink("..data/Proxyfile", at("Proxyfile")).unwrap();
        let mut watch = watch(&at("Proxyfile")).await;

        symlink("v2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
        assert!(tells(&mut watch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_still_written_is_no_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Proxyfile");
        fs::write(&path, "").unwrap();
        let mut watch = watch(&path).await;
        let mut text = String::new();
        for _ in 0..5 {
            // One look for each state of the file.
            text.push('x');
            fs::write(&path, &text).unwrap();
            let waiting = timeout(INTERVAL + INTERVAL / 10, watch.changed());
            assert!(waiting.await.is_err(), "{text}");
        }
        assert!(timeout(SOON, watch.changed()).await.is_ok());
        assert!(watch.changed().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_gone_and_comes_back_unchanged_in_time_is_no_change() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("Proxyfile"), dir.path().join("aside"));
        fs::write(&path, "").unwrap();
        let mut watch = FileWatch::new(vec![path.clone()]).await;
        fs::remove_file(&path).unwrap();
        assert!(
            tells(&mut watch).await,
            "a file that stays away is a change"
        );
        fs::write(&aside, "").unwrap();
        fs::rename(&aside, &path).unwrap();
        assert!(tells(&mut watch).await);
    }
}
