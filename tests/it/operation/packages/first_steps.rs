//! The way from the first installation to the first upgrade in docs/operations.md: each of its commands is run.

use std::fs;

use super::debian::{package, package_again};
use crate::harness::machine::Machine;

/// An app at port 3000: it reads the head of a request and answers.
const APP: &str = r#"systemd-run --quiet --unit app systemd-socket-activate --listen 3000 --accept --inetd sh -c '
    while IFS= read -r line && [ ${#line} -gt 1 ]; do :; done
    printf "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 7\r\n\r\nthe app"'"#;

fn section() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("\n## First steps\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    // A name that needs neither DNS nor a CA.
    section.replace("www.example.org", "www.localhost")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_command_of_the_first_steps_works() {
    let Some(machine) = Machine::boot().await else {
        return;
    };
    let Some(first) = package(machine.mailbox(), "1.0.0") else {
        return;
    };
    let second = package_again(&first, machine.mailbox(), "1.0.1");
    machine.run(APP).await;
    let section = section();
    let (_, proxyfile) = section.split_once("```toml\n").unwrap();
    let (proxyfile, _) = proxyfile.split_once("```\n").unwrap();
    fs::write(machine.mailbox().join("sites"), proxyfile).unwrap();

    let mut packages = [first, second].into_iter();
    let mut count = 0;
    for line in section.lines().filter_map(|line| line.strip_prefix("    ")) {
        let command = line.trim_start_matches("sudo ");
        if command.starts_with("packaging/deb/build ") {
            continue;
        }
        if command.starts_with("apt install ") {
            fs::rename(
                packages.next().unwrap(),
                machine.mailbox().join("proxy.deb"),
            )
            .unwrap();
        }
        if command == "proxy check" {
            machine.run("cat /mnt/sites > /etc/proxy/Proxyfile").await;
        }
        machine.run(&format!("cd /mnt && {command}")).await;
        count += 1;
    }
    assert_eq!(packages.next(), None);
    assert_eq!(count, 10);
    let version = machine.run("dpkg-query -W -f '${Version}' proxy").await;
    assert_eq!(version, "1.0.1");
    let app = machine.run("curl -sfk https://www.localhost").await;
    assert_eq!(app, "the app");
}
