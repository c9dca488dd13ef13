//! `proxy reload` and `proxy stop` of a running proxy.

use bytes::Bytes;
use proxy::tasks::Tasks;

use crate::harness::admin::{Outcome, ask, run};
use crate::harness::backends::origin::Origin;
use crate::harness::backends::web_app::App;
use crate::harness::ports::Reservation;
use crate::harness::proxy::{Proxy, ProxySetup};

fn sites(names: &[&str]) -> String {
    let site = |name: &&str| format!("\"{name}\" = {{ respond = {{ body = \"{name}\" }} }}\n");
    let sites = names.iter().map(site).collect::<String>();
    format!("[sites]\n{sites}")
}

async fn reload(proxy: &Proxy, text: &str) -> Outcome {
    proxy.file("Proxyfile", text);
    run(&proxy.data(), &["reload"]).await
}

async fn body(proxy: &Proxy, name: &str) -> Bytes {
    let client = proxy.client();
    client.get(proxy.https(), name, "/").await.body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_is_in_effect_when_the_command_ends_and_says_what_has_changed() {
    let setup = ProxySetup::new().proxyfile(&sites(&["localhost", "a.localhost"]));
    let mut proxy = setup.start().await;
    proxy.logged("names=a.localhost").await;

    let text =
        sites(&["localhost", "b.localhost"]).replace("body = \"localhost\"", "body = \"new\"");
    let told = reload(&proxy, &format!("[limits]\nbody-timeout = \"5m\"\n{text}")).await;

    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let (first, rest) = told.out.split_once('\n').unwrap();
    assert!(
        first.starts_with("reloaded ") && first.ends_with("Proxyfile, which has 2 sites"),
        "{first}"
    );
    let expected = "\
added    b.localhost
removed  a.localhost
changed  localhost: respond
changed  limits.body-timeout: \"1m\" -> \"5m\"
";
    assert_eq!(rest, expected);
    assert_eq!(body(&proxy, "localhost").await, "new");
    assert_eq!(body(&proxy, "b.localhost").await, "b.localhost");

    let told = run(&proxy.data(), &["reload", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(
        (&json["sites"], &json["changed"]),
        (&2.into(), &serde_json::json!([]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_reload_tells_every_reason_and_changes_nothing() {
    let proxy = ProxySetup::new()
        .proxyfile(&sites(&["localhost"]))
        .start()
        .await;

    let told = reload(
        &proxy,
        "emial = \"a@b.c\"\n[sites]\nlocalhost = { hsts = \"soon\" }\n",
    )
    .await;

    assert_eq!((told.code, told.out.as_str()), (2, ""));
    for part in ["Proxyfile:1:1: unknown key `emial`", "Proxyfile:3:"] {
        assert!(told.err.contains(part), "{}", told.err);
    }
    assert!(told.err.lines().count() >= 2, "{}", told.err);
    assert_eq!(body(&proxy, "localhost").await, "localhost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_cannot_be_bound_leaves_everything_as_it_was() {
    let other = Origin::ok().await;
    let ports = [(); 2].map(|()| Reservation::new());
    let [http, https] = [0, 1].map(|index: usize| ports[index].address());
    drop(ports);
    let text = |more: &str, names| {
        let listen = format!("http = \"{http}\"\nhttps = [\"{https}\"{more}]\n");
        format!("[listen]\n{listen}{}", sites(names))
    };
    let setup = ProxySetup::new().addresses_by_file();
    let proxy = setup.proxyfile(&text("", &["localhost"])).start().await;

    let more = format!(", \"{}\"", other.address);
    let text = text(&more, &["localhost", "b.localhost"]);
    let told = reload(&proxy, &text).await;

    assert_eq!(told.code, 1, "{}", told.err);
    let taken = format!("{} is in use by another program", other.address);
    assert!(told.err.contains(&taken), "{}", told.err);
    let client = proxy.client();
    assert_eq!(client.get(https, "localhost", "/").await.body, "localhost");
    let unknown = client.serial(https, "b.localhost").await;
    assert!(unknown.is_err(), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_file_there_is_nothing_to_reload() {
    let app = App::start().await;
    let proxy = ProxySetup::new().local(&app).start().await;
    let told = run(&proxy.data(), &["reload"]).await;
    assert_eq!(told.code, 1);
    assert!(
        told.err
            .starts_with("nothing to reload: the configuration is from the command line"),
        "{}",
        told.err
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_waits_for_running_requests_and_for_the_end_of_the_process() {
    let app = App::start().await;
    let mut proxy = ProxySetup::new().local(&app).start().await;
    let (client, https, pid) = (proxy.client(), proxy.https(), proxy.pid());
    let request = Tasks::new().spawn(async move { client.get(https, "localhost", "/gate").await });
    app.gate_reached().await;
    let data = proxy.data();
    let stop = Tasks::new().spawn(async move {
        let told = run(&data, &["stop"]).await;
        // The process is gone, or waits for its parent.
        let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        (told, state.map_or(true, |stat| stat.contains(") Z ")))
    });
    proxy.logged("draining").await;
    app.open_gate();

    assert_eq!(request.await.unwrap().body, "through the gate");
    let (told, has_ended) = stop.await.unwrap();
    assert_eq!(
        (told.code, told.out.as_str(), told.err.as_str()),
        (0, "stopped\n", "")
    );
    assert!(has_ended);
    assert!(proxy.ended().await.success());

    let told = run(&proxy.data(), &["stop"]).await;
    assert_eq!(told.code, 1);
    assert!(told.err.contains("no proxy is running"), "{}", told.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_says_how_many_connections_were_cut() {
    let app = App::start().await;
    let text = format!(
        "[limits]\ndrain-timeout = \"100ms\"\n[sites]\nlocalhost = \"{}\"\n",
        app.address
    );
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let (client, https) = (proxy.client(), proxy.https());
    let _request = Tasks::new().spawn(async move { client.get(https, "localhost", "/gate").await });
    app.gate_reached().await;

    let told = run(&proxy.data(), &["stop"]).await;

    assert_eq!(
        told.out,
        "stopped; 1 connection was cut at the end of the drain\n"
    );
    assert!(proxy.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_hangs_delays_no_stop() {
    // Given a Proxyfile that is a pipe into which nobody writes, as if its disk hung.
    let proxy = ProxySetup::new().proxyfile(&sites(&["localhost"]));
    let mut proxy = proxy.start().await;
    let file = proxy.data().with_file_name("Proxyfile");
    std::fs::remove_file(&file).unwrap();
    let made = tokio::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.await.unwrap().success());
    let data = proxy.data();
    let reload = Tasks::new().spawn(async move {
        // The command reads the Proxyfile, too, for the path of the socket.
        ask(
            &data.join("admin.sock"),
            "POST /reload HTTP/1.1\r\nhost: admin\r\n\r\n",
        )
        .await
    });
    // When it is being read, then a stop is carried out all the same.
    let opened = tokio::fs::OpenOptions::new().write(true).open(&file).await;
    let socket = proxy.data().join("admin.sock");
    let stopped = ask(&socket, "POST /stop HTTP/1.1\r\nhost: admin\r\n\r\n").await;
    assert!(stopped.contains("{\"cut\":0}"), "{stopped}");
    assert!(proxy.ended().await.success());
    let refused = reload.await.unwrap();
    assert!(
        refused.contains("409 Conflict") || refused.is_empty(),
        "{refused}"
    );
    drop(opened);
}
