//! A real Apache as a backend.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::harness::ca::pki::TestCa;
use crate::harness::deadline::soon;
use crate::harness::ports::Reservation;

/// A running Apache with the folder `www` as its document root.
pub(crate) struct Apache {
    pub(crate) address: SocketAddr,
    dir: TempDir,
    _child: Child,
}

impl Apache {
    /// Starts it with these modules and lines. `{dir}` in a line is its folder, with `cert.pem` and `key.pem` for
    /// `localhost`.
    pub(crate) async fn start(ca: &TestCa, modules: &[&str], lines: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = ca.loopback();
        for (name, text) in [
            ("ca.pem", ca.pem()),
            ("cert.pem", certificate.pem()),
            ("key.pem", key.serialize_pem()),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let www = dir.path().join("www");
        std::fs::create_dir(&www).unwrap();
        // If the tests run as root, Apache changes to another user.
        for path in [dir.path(), &www] {
            std::fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
        }
        let port = Reservation::new();
        let address = port.address();
        let root = dir.path().display().to_string();
        let modules: String = ["mpm_event", "authz_core"]
            .iter()
            .chain(modules)
            .map(|module| {
                format!("LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n")
            })
            .collect();
        let lines = lines.replace("{dir}", &root);
        let config = format!(
            "ServerRoot {root}\nPidFile {root}/pid\nErrorLog {root}/error.log\nServerName localhost\n\
             DefaultRuntimeDir {root}\nUser www-data\nGroup www-data\nListen {address}\nDocumentRoot {root}/www\n\
             {modules}\n{lines}\n"
        );
        let path = dir.path().join("apache.conf");
        std::fs::write(&path, config).unwrap();
        drop(port);
        let child = Command::new("/usr/sbin/apache2")
            .arg("-X")
            .arg("-f")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        soon(async {
            while TcpStream::connect(address).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        Self {
            address,
            dir,
            _child: child,
        }
    }

    /// URL of the backend over TLS, as a Proxyfile names it.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// File with the root of its certificate.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The document root.
    pub(crate) fn www(&self) -> PathBuf {
        Path::new(self.dir.path()).join("www")
    }
}
