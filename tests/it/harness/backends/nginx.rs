//! A real nginx as a backend.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use proxy::upstream::IdentityFiles;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::harness::ca::pki::TestCa;
use crate::harness::ports::Reservation;

/// A running nginx that serves HTTPS with a certificate for `localhost`, and takes client certificates of the same CA.
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    dir: TempDir,
    _child: Child,
}

impl Nginx {
    /// Starts it with these additional lines in its `server` block.
    pub(crate) async fn start(ca: &TestCa, lines: &str) -> Self {
        Self::launch(ca, "ssl", lines).await
    }

    /// Starts it with a preference for HTTP/2.
    pub(crate) async fn start_http2(ca: &TestCa, lines: &str) -> Self {
        Self::launch(ca, "ssl http2", lines).await
    }

    /// Starts it with either protocol; each connection has to begin with a PROXY header.
    pub(crate) async fn start_proxied(ca: &TestCa, is_http2: bool, lines: &str) -> Self {
        let kind = match is_http2 {
            true => "ssl http2 proxy_protocol",
            false => "ssl proxy_protocol",
        };
        Self::launch(ca, kind, lines).await
    }

    /// Starts it with this certificate and key, whoever has signed it.
    pub(crate) async fn start_as((certificate, key): (&str, &str), lines: &str) -> Self {
        let pair = (certificate.to_owned(), key.to_owned());
        Self::launch_as(&TestCa::root("clients"), pair, "ssl", lines).await
    }

    async fn launch(ca: &TestCa, kind: &str, lines: &str) -> Self {
        let (certificate, key) = ca.loopback();
        let pair = (certificate.pem(), key.serialize_pem());
        Self::launch_as(ca, pair, kind, lines).await
    }

    async fn launch_as(
        ca: &TestCa,
        (certificate, key): (String, String),
        kind: &str,
        lines: &str,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let client_key = rcgen::KeyPair::generate().unwrap();
        let client = rcgen::CertificateParams::new(["proxy".to_owned()]).unwrap();
        let client = client.signed_by(&client_key, ca.issuer()).unwrap();
        for (name, text) in [
            ("ca.pem", ca.pem()),
            ("cert.pem", certificate),
            ("key.pem", key),
            ("client.pem", client.pem()),
            ("client-key.pem", client_key.serialize_pem()),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let port = Reservation::new();
        let address = port.address();
        let root = dir.path().display();
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;
            events {{}}
            http {{
                access_log off;
                client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
                uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
                server {{
                    listen {address} {kind};
                    ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem;
                    ssl_client_certificate {root}/ca.pem;
                    ssl_session_cache shared:s:1m;
                    {lines}
                }}
            }}"
        );
        let path = dir.path().join("nginx.conf");
        std::fs::write(&path, config).unwrap();
        drop(port);
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&path)
            .arg("-e")
            .arg(dir.path().join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let nginx = Self {
            address,
            dir,
            _child: child,
        };
        nginx.listening().await;
        nginx
    }

    async fn listening(&self) {
        crate::harness::deadline::soon(async {
            while TcpStream::connect(self.address).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// URL of the backend, as a Proxyfile names it.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// File with the root of its certificate.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Files of a certificate that it accepts from clients.
    pub(crate) fn identity(&self) -> IdentityFiles {
        IdentityFiles {
            cert: self.dir.path().join("client.pem"),
            key: self.dir.path().join("client-key.pem"),
        }
    }
}
