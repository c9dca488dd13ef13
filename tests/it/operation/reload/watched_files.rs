//! `watch = true`: a reload by itself when the Proxyfile, or a file that it names, has changed.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::harness::backends::web_app::App;
use crate::harness::proxy::{Proxy, ProxySetup};

/// A Proxyfile that is watched, whose site passes the secret in `token` and this version on to the app.
fn watched(app: &App, version: usize) -> String {
    format!(
        "watch = true\n[sites.localhost]\nupstream = \"{}\"\n\
         request-headers = {{ set = {{ X-Token = \"file:token\", X-Version = \"{version}\" }} }}\n",
        app.address
    )
}

/// Asserts that the app gets this token and this version.
async fn assert_served(proxy: &Proxy, token: &str, version: usize) {
    let client = proxy.client();
    let answer = client.get(proxy.https(), "localhost", "/fields").await;
    let fields = String::from_utf8(answer.body.into()).unwrap();
    let got: Vec<_> = ["x-token: ", "x-version: "]
        .iter()
        .map(|name| fields.lines().find_map(|line| line.strip_prefix(name)))
        .collect();
    assert_eq!(got, [Some(token), Some(&*version.to_string())], "{fields}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_proxyfile_or_secret_takes_effect_by_itself_and_a_wrong_one_does_not() {
    // Given a proxy that watches its files.
    let app = App::start().await;
    let setup = ProxySetup::new();
    setup.file("token", "one");
    let mut proxy = setup.proxyfile(&watched(&app, 1)).start().await;
    assert_served(&proxy, "one", 1).await;

    // When a secret that the Proxyfile names changes.
    let change = |proxy: &Proxy| drop(proxy.file("token", "two"));
    let line = proxy.reload_by(change).await;
    assert!(line.contains("configuration reloaded"), "{line}");
    assert_served(&proxy, "two", 1).await;

    // When the Proxyfile is wrong, and then right again.
    let change = |proxy: &Proxy| drop(proxy.file("Proxyfile", "watch = true\nsite = 1\n"));
    let line = proxy.reload_by(change).await;
    assert!(line.contains("configuration not reloaded"), "{line}");
    assert_served(&proxy, "two", 1).await;
    let text = watched(&app, 2);
    let change = |proxy: &Proxy| drop(proxy.file("Proxyfile", &text));
    let line = proxy.reload_by(change).await;
    assert!(line.contains("configuration reloaded"), "{line}");
    assert_served(&proxy, "two", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_a_changed_proxyfile_still_lacks_is_waited_for() {
    // Given a proxy that watches its files, and a Proxyfile that names another secret than before, which is missing.
    let app = App::start().await;
    let setup = ProxySetup::new();
    setup.file("token", "one");
    let mut proxy = setup.proxyfile(&watched(&app, 1)).start().await;
    let text = watched(&app, 2).replace("file:token", "file:other");
    let change = |proxy: &Proxy| drop(proxy.file("Proxyfile", &text));
    let line = proxy.reload_by(change).await;
    assert!(line.contains("configuration not reloaded"), "{line}");
    // When the secret comes.
    let line = proxy
        .reload_by(|proxy| drop(proxy.file("other", "two")))
        .await;
    // Then the Proxyfile takes effect.
    assert!(line.contains("configuration reloaded"), "{line}");
    assert_served(&proxy, "two", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_of_kubernetes_whose_link_is_swapped_takes_effect_by_itself() {
    // Given the files as Kubernetes mounts a ConfigMap: links through `..data`, which leads to a folder.
    let app = App::start().await;
    let setup = ProxySetup::new();
    let folder = setup.data().with_file_name("volume");
    let fill = |version: usize, token: &str| {
        let folder = folder.join(format!("..v{version}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("Proxyfile"), watched(&app, version)).unwrap();
        std::fs::write(folder.join("token"), token).unwrap();
    };
    let link = |target: &str, name: &Path| symlink(target, name).unwrap();
    fill(1, "one");
    link("..v1", &folder.join("..data"));
    for file in ["Proxyfile", "token"] {
        link(&format!("..data/{file}"), &folder.join(file));
    }
    let path = folder.join("Proxyfile").display().to_string();
    let mut proxy = setup.args(["run", "--config", &path]).start().await;
    assert_served(&proxy, "one", 1).await;
    // When the link is swapped.
    fill(2, "two");
    link("..v2", &folder.join("..new"));
    let swap = |_: &Proxy| std::fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    let line = proxy.reload_by(swap).await;
    // Then both files are those of the new folder.
    assert!(line.contains("configuration reloaded"), "{line}");
    assert_served(&proxy, "two", 2).await;
}
