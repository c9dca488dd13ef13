//! The system's hosts file, whose changes are followed.

use std::fs::{self, File, Metadata};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

use hickory_resolver::Hosts;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use parking_lot::Mutex;
use tracing::warn;

const PATH: &str = "/etc/hosts";

/// A hosts file. It is read again when it has changed.
pub(super) struct HostsFile {
    path: PathBuf,
    read: Mutex<Option<Read>>,
}

/// Content of the file at one moment.
struct Read {
    version: Option<Version>,
    hosts: Hosts,
}

/// Properties of a file of which at least one differs after each change.
#[derive(PartialEq, Eq)]
struct Version {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        Self {
            modified: metadata.modified().ok(),
            len: metadata.len(),
            inode: metadata.ino(),
        }
    }
}

impl HostsFile {
    pub(super) fn of_system() -> Self {
        Self::at(PATH)
    }

    fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            read: Mutex::new(None),
        }
    }

    /// Returns the addresses of a name; none if the file does not have it. May block on the disk.
    pub(super) fn addresses(&self, name: &Name) -> Vec<IpAddr> {
        let version = fs::metadata(&self.path).ok();
        let version = version.as_ref().map(Version::of);
        let mut read = self.read.lock();
        let read = match &mut *read {
            Some(read) if read.version == version => read,
            outdated => outdated.insert(Read {
                hosts: self.read(version.is_some()),
                version,
            }),
        };
        [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|kind| {
                let query = Query::query(name.clone(), kind);
                read.hosts.lookup_static_host(&query)
            })
            .flat_map(|found| {
                let addresses = found.answers().iter();
                addresses
                    .filter_map(|record| record.data.ip_addr())
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    fn read(&self, exists: bool) -> Hosts {
        let mut hosts = Hosts::default();
        if !exists {
            return hosts;
        }
        let read = File::open(&self.path).and_then(|file| hosts.read_hosts_conf(file));
        if let Err(error) = read {
            warn!(path = %self.path.display(), %error, "hosts file cannot be read; its names are asked of DNS only");
        }
        hosts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_the_file_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        let file = HostsFile::at(&path);
        let found = |name: &str| {
            let addresses = file.addresses(&Name::from_ascii(name).unwrap());
            let texts = addresses.iter().map(ToString::to_string);
            texts.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found("my_app"), "", "there is no file");

        fs::write(&path, "10.0.0.1 my_app app.lan # x\nfd00::1 app.lan\n").unwrap();
        assert_eq!(found("my_app"), "10.0.0.1");
        assert_eq!(found("APP.lan."), "10.0.0.1 fd00::1");
        assert_eq!(found("other"), "");

        // As editors and tools write it: another file takes its place.
        let new = folder.path().join("new");
        fs::write(&new, "10.0.0.2 my_app\n").unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(found("my_app"), "10.0.0.2");
        assert_eq!(found("app.lan"), "");

        fs::remove_file(&path).unwrap();
        assert_eq!(found("my_app"), "");
    }
}
