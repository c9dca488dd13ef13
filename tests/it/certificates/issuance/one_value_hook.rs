//! A hook that keeps one value of a name, with Pebble.

use super::wildcards::{WILDCARD, from, hook, proxyfile};
use crate::harness::backends::web_app::App;
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::deadline::soon;
use crate::harness::proxy::ProxySetup;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_keeps_one_value_proves_a_wildcard_and_its_base_name_one_after_the_other() {
    // Given a hook that replaces the value of a name, as those of many DNS services do.
    let app = App::start().await;
    let pebble = Pebble::start(PebbleOptions::new(1)).await;
    let setup = ProxySetup::new();
    let hook = hook(&setup, &pebble);
    let script = std::fs::read_to_string(&hook).unwrap();
    let (start, end) = script
        .split_once("exec curl -sS -d \"{\\\"host\\\":\\\"$2.\\\",")
        .unwrap();
    let clear = format!(
        "curl -sS -d \"{{\\\"host\\\":\\\"$2.\\\"}}\" http://{}/clear-txt\n",
        pebble.dns_management()
    );
    let script = format!("{start}{clear}exec curl -sS -d \"{{\\\"host\\\":\\\"$2.\\\",{end}");
    std::fs::write(&hook, script).unwrap();
    let servers = pebble.dns();
    let dns = format!(
        "{{ exec = \"{hook}\", name-servers = [\"{servers}\"], propagation = \"strict\" }}"
    );
    let sites = [(WILDCARD, dns.as_str()), ("home.example.org", &dns)];
    let file = proxyfile(&app, servers, &sites);

    let mut proxy = from(setup, &pebble, &file, "debug").start().await;

    // Then both are proved, and the second value is not set before the first one is removed.
    for name in [WILDCARD, "home.example.org"] {
        let obtained = format!("certificate obtained names={name} ");
        proxy.logged(&obtained).await;
    }
    assert!(
        !proxy.log().contains("certificate not obtained"),
        "{}",
        proxy.log()
    );
    let read = || std::fs::read_to_string(format!("{hook}.calls")).unwrap();
    soon(async {
        while read().lines().count() < 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let calls = read();
    let calls: Vec<_> = calls
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(calls, ["present", "cleanup", "present", "cleanup"]);
}
