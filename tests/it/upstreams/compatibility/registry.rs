//! A registry of container images behind the proxy, and a client that pushes to it and pulls from it.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::process::Command;

use crate::harness::backends::registry::Registry;
use crate::harness::proxy::ProxySetup;

/// More than the client sends in one piece.
const LAYER_BYTES: usize = 3 << 20;

/// Writes an image of one layer in the OCI layout. Returns the layer's digest.
fn write_image(folder: &Path, layer: &[u8]) -> String {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let hash = digest(&SHA256, bytes);
        let digest: String = hash
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        std::fs::write(blobs.join(&digest), bytes).unwrap();
        let length = bytes.len();
        let kind = format!("application/vnd.oci.image.{kind}");
        serde_json::json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": length })
    };
    let layer = blob("layer.v1.tar", layer);
    let digest = layer["digest"].as_str().unwrap().to_owned();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [digest] },
    });
    let config = blob("config.v1+json", config.to_string().as_bytes());
    let manifest = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
    let manifest = blob("manifest.v1+json", manifest.to_string().as_bytes());
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    std::fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    digest
}

async fn copy(certificates: &Path, from: &str, to: &str) {
    let output = Command::new("skopeo")
        .args([
            "--insecure-policy",
            "copy",
            "--preserve-digests",
            "--src-cert-dir",
        ])
        .arg(certificates)
        .arg("--dest-cert-dir")
        .arg(certificates)
        .args([from, to])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "copy from {from} to {to}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_pushed_and_pulled() {
    // Given a registry behind the proxy, and an image with a layer of some megabytes.
    let registry = Registry::start().await;
    let setup = ProxySetup::new();
    let port = setup.https().port();
    let upstream = registry.address.to_string();
    let proxy = setup
        .args(["--upstream", &upstream, "--domain", "localhost"])
        .start()
        .await;
    let dir = tempfile::tempdir().unwrap();
    let certificates = dir.path().join("certificates");
    std::fs::create_dir(&certificates).unwrap();
    std::fs::write(certificates.join("ca.crt"), proxy.internal_root()).unwrap();
    let layer: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
        .take(LAYER_BYTES)
        .collect();
    let (image, copied) = (dir.path().join("image"), dir.path().join("copied"));
    let digest = write_image(&image, &layer);

    // When a client pushes it and pulls it again. The upload goes to the places that the registry names in Location.
    let remote = format!("docker://localhost:{port}/app:1");
    copy(&certificates, &format!("oci:{}", image.display()), &remote).await;
    copy(&certificates, &remote, &format!("oci:{}", copied.display())).await;

    // Then the layer is the same.
    let file = copied
        .join("blobs/sha256")
        .join(digest.trim_start_matches("sha256:"));
    assert!(std::fs::read(file).unwrap() == layer, "the layer differs");
}
