//! BIND 9 as the primary server of `example.org`; it accepts updates that one key signs.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use proxy::certs::{Resolver, ResolverOptions};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::harness::ports::Reservation;

/// The key's name.
pub(crate) const KEY_NAME: &str = "proxy-key";

/// The key, which is for hmac-sha512.
pub(crate) const KEY: &str =
    "c2l4dHktZm91ciBieXRlcyBvZiBhIGtleSB0aGF0IGlzIGZvciB0ZXN0cyBhbG9uZSBhbmQgbm8gbW9yZQ==";

/// A running BIND; dropping the value kills it.
pub(crate) struct Bind {
    address: SocketAddr,
    child: Child,
    _dir: TempDir,
}

impl Bind {
    /// Starts BIND and waits until it listens. The key may change the TXT records below `home.example.org` and those of
    /// `_acme-challenge.home.example.org`.
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    /// Starts BIND with more lines in the zone.
    pub(crate) async fn with(records: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let reservation = Reservation::new();
        let address = reservation.address();
        write(&dir, address, records);
        drop(reservation);
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new("/usr/sbin/named")
            .args(["-g", "-n", "1", "-c"])
            .arg(dir.path().join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("BIND does not run ({error}): `tests/run` installs bind9")
            });
        let mut bind = Self {
            address,
            child,
            _dir: dir,
        };
        bind.wait().await;
        bind
    }

    /// A process of another program cannot be awaited, so the test polls it until it answers.
    async fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.address).await.is_err() {
            let status = self.child.try_wait().unwrap();
            let log = || std::fs::read_to_string(self._dir.path().join("log")).unwrap();
            let is_alive = status.is_none() && Instant::now() < deadline;
            assert!(is_alive, "BIND did not start ({status:?}): {}", log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns all TXT values of a name, sorted.
    pub(crate) async fn texts(&self, name: &str) -> Vec<String> {
        let resolver = Resolver::new(ResolverOptions::default());
        let mut texts = resolver.txt_at(self.address, name, false).await.unwrap();
        texts.sort();
        texts
    }
}

fn write(dir: &TempDir, address: SocketAddr, records: &str) {
    let folder = dir.path().display();
    let (ip, port) = (address.ip(), address.port());
    let config = format!(
        r#"
        options {{
            directory "{folder}"; pid-file none; session-keyfile none;
            listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }};
            recursion no; dnssec-validation no; allow-query {{ any; }};
        }};
        controls {{ }};
        key "{KEY_NAME}" {{ algorithm hmac-sha512; secret "{KEY}"; }};
        zone "example.org" {{
            type primary; file "zone";
            update-policy {{ grant {KEY_NAME} subdomain home.example.org. TXT; }};
        }};
        "#
    );
    let zone = "$TTL 60\n\
        @ IN SOA ns1 ops 1 60 60 60 60\n\
        @ IN NS ns1\n\
        ns1 IN A 127.0.0.1\n\
        _acme-challenge.home IN TXT \"of another\"\n";
    std::fs::write(dir.path().join("named.conf"), config).unwrap();
    let zone = format!("{zone}{records}");
    std::fs::write(dir.path().join("zone"), zone).unwrap();
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
