//! Static files with compression, through the whole proxy.

use tempfile::TempDir;

use super::fixtures::{both, quoted};
use crate::harness::proxy::{Proxy, ProxySetup};

/// A proxy that serves and compresses large and small files of a folder.
async fn serving() -> (Proxy, TempDir) {
    let folder = TempDir::new().unwrap();
    let style = "body { color: black }\n".repeat(200);
    for (name, text) in [
        ("style.css", style.as_str()),
        ("packed.css", style.as_str()),
        ("packed.css.br", "packed before"),
        ("small.css", "b{}"),
        ("image.png", style.as_str()),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let proxyfile = format!(
        "compress = true\n[sites.\"localhost\"]\nfiles = {}\n",
        quoted(folder.path())
    );
    (
        ProxySetup::new().proxyfile(&proxyfile).start().await,
        folder,
    )
}

const ALL: (&str, &str) = ("accept-encoding", "gzip, br, zstd");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_compressed_once_and_ranges_never() {
    let (proxy, _folder) = serving().await;
    let get = |path| ("GET", "localhost", path);
    for seen in both(&proxy, get("/style.css"), &[ALL]).await {
        assert_eq!(seen.header("content-encoding"), "zstd");
        assert_eq!(seen.header("vary"), "accept-encoding");
        assert!(seen.body.len() < 400, "{}", seen.body.len());
        assert!(seen.header("etag").starts_with("W/"));
        assert_eq!(seen.header("accept-ranges"), "-");
    }
    for seen in both(&proxy, get("/packed.css"), &[ALL]).await {
        assert_eq!(seen.header("content-encoding"), "br");
        assert_eq!(seen.header("vary"), "accept-encoding");
        assert_eq!(seen.body, "packed before");
    }
    for path in ["/small.css", "/image.png"] {
        for seen in both(&proxy, get(path), &[ALL]).await {
            assert_eq!(seen.header("content-encoding"), "-", "{path}");
        }
    }
    for seen in both(&proxy, get("/style.css"), &[ALL, ("range", "bytes=0-1999")]).await {
        assert_eq!(seen.status, 206);
        assert_eq!(seen.header("content-encoding"), "-");
        assert_eq!(seen.header("content-range"), "bytes 0-1999/4400");
        assert_eq!(seen.body.len(), 2000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_request_for_a_compressed_file_has_the_fields_of_a_get_and_its_etag_revalidates() {
    let (proxy, _folder) = serving().await;
    let [whole, _] = both(&proxy, ("GET", "localhost", "/style.css"), &[ALL]).await;
    for seen in both(&proxy, ("HEAD", "localhost", "/style.css"), &[ALL]).await {
        assert_eq!(seen.status, 200);
        for name in [
            "content-encoding",
            "vary",
            "etag",
            "content-length",
            "content-type",
        ] {
            assert_eq!(seen.header(name), whole.header(name), "{name}");
        }
        assert!(seen.body.is_empty());
    }
    let known = [ALL, ("if-none-match", whole.header("etag"))];
    for seen in both(&proxy, ("GET", "localhost", "/style.css"), &known).await {
        assert_eq!((seen.status.as_u16(), seen.body.len()), (304, 0));
    }
    let part = [
        ALL,
        ("range", "bytes=0-9"),
        ("if-range", whole.header("etag")),
    ];
    for seen in both(&proxy, ("GET", "localhost", "/style.css"), &part).await {
        assert_eq!(
            seen.status, 200,
            "the range of one coding does not fit another"
        );
    }
}
