//! Certificates for other daemons: the command that runs after each new one, and the file in the form that they read.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::proxy::{Proxy, ProxySetup};

/// A proxy for `nas.home.arpa` with a hook beside its Proxyfile.
async fn proxy_with(hook: &str) -> Proxy {
    let setup = ProxySetup::new()
        .proxyfile("on-cert = \"hook\"\n[sites]\n\"nas.home.arpa\" = \"localhost:1\"\n");
    let path = setup.file("hook", &format!("#!/bin/sh\n{hook}\n"));
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).unwrap();
    setup.start().await
}

/// Path of the record of `nas.home.arpa`.
fn record(data: &Path) -> PathBuf {
    data.join("certificates/internal/nas.home.arpa/certificate.pem")
}

#[tokio::test]
async fn the_command_runs_with_a_file_that_others_can_read() {
    let mut proxy = proxy_with("echo \"$1 $2\" > \"$(dirname \"$0\")/said\"; exit 7").await;
    let line = proxy.logged("on-cert command failed").await;
    assert!(line.contains("ended with exit code 7"), "{line}");
    let data = proxy.data();
    let said = std::fs::read_to_string(data.parent().unwrap().join("said")).unwrap();
    assert_eq!(said, format!("nas.home.arpa {}\n", record(&data).display()));
    proxy
        .logged("certificate obtained names=nas.home.arpa")
        .await;
}

#[tokio::test]
async fn the_record_is_pem_that_nginx_and_openssl_accept() {
    let mut proxy = proxy_with("true").await;
    proxy.logged("certificate obtained").await;
    let record = record(&proxy.data());
    let pem = record.display();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nginx.conf");
    std::fs::write(
        &file,
        format!(
            "pid {0}/pid; error_log stderr; events {{}}\n\
             http {{ access_log off; server {{ listen unix:{0}/sock ssl; ssl_certificate {pem}; ssl_certificate_key {pem}; }} }}\n",
            folder.path().display()
        ),
    )
    .unwrap();
    let nginx = Command::new("nginx")
        .arg("-t")
        .arg("-c")
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        nginx.status.success(),
        "{}",
        String::from_utf8_lossy(&nginx.stderr)
    );
    for reader in ["x509", "pkey"] {
        let openssl = Command::new("openssl")
            .args([reader, "-noout", "-in"])
            .arg(&record)
            .output()
            .unwrap();
        assert!(
            openssl.status.success(),
            "{}",
            String::from_utf8_lossy(&openssl.stderr)
        );
    }
}
