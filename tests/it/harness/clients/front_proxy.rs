//! Other proxies in front of ours: the system's nginx and HAProxy.

use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::harness::ports::Reservation;

/// A running proxy; dropping the value ends it.
pub(crate) struct FrontProxy {
    pub(crate) address: SocketAddr,
    _child: Child,
    _dir: TempDir,
}

impl FrontProxy {
    /// HAProxy that passes TCP on to `backend`, with these options on its server line.
    pub(crate) async fn haproxy(backend: SocketAddr, options: &str) -> Self {
        Self::start("haproxy", |address, _| {
            let config = format!(
                "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
                 listen front\n  bind {address}\n  server back {backend} {options}\n"
            );
            (config, &["-db", "-f"])
        })
        .await
    }

    /// HAProxy that accepts PROXY headers and tells the plain HTTP `backend` in fields of its own what they said.
    pub(crate) async fn haproxy_accepting(backend: SocketAddr) -> Self {
        Self::start("haproxy", |address, _| {
            let config = format!(
                "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
                 listen back\n  bind {address} accept-proxy\n  http-request set-header X-Learned %[src]\n\
                 \x20 http-request set-header X-Reached %[dst_port]\n  server app {backend}\n"
            );
            (config, &["-db", "-f"])
        })
        .await
    }

    /// nginx that passes plain HTTP requests on to the site `name` at `backend` over TLS, with these directives.
    pub(crate) async fn nginx(backend: SocketAddr, name: &str, directives: &str) -> Self {
        Self::start("nginx", |address, dir| {
            let config = format!(
                "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log; events {{}}\n\
                 http {{ access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;\n\
                 fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;\n\
                 server {{ listen {address}; location / {{\n\
                 proxy_pass https://{backend}; proxy_ssl_server_name on; proxy_ssl_name {name};\n\
                 proxy_set_header Host {name}; {directives} }} }} }}\n"
            );
            (config, &["-c"])
        })
        .await
    }

    async fn start(
        program: &str,
        config: impl FnOnce(SocketAddr, &str) -> (String, &'static [&'static str]),
    ) -> Self {
        let dir = TempDir::new().unwrap();
        let port = Reservation::new();
        let address = port.address();
        let (text, args) = config(address, &dir.path().display().to_string());
        let path = dir.path().join("front.conf");
        std::fs::write(&path, text).unwrap();
        drop(port);
        let child = Command::new(program)
            .args(args)
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut tries = tokio::time::interval(std::time::Duration::from_millis(20));
        for _ in 0..500 {
            if TcpStream::connect(address).await.is_ok() {
                return Self {
                    address,
                    _child: child,
                    _dir: dir,
                };
            }
            tries.tick().await;
        }
        panic!("{program} does not start");
    }
}
