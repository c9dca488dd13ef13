//! Which room may import which.

use super::graph::Graph;

/// For each room, the rooms that it may import. The ground is the eighteen rooms that may import none.
pub(crate) const EDGES: [(&str, &[&str]); 32] = [
    ("name", &[]),
    ("backoff", &[]),
    ("gcra", &[]),
    ("hook_command", &[]),
    ("listener_names", &[]),
    ("log_groups", &[]),
    ("log_limit", &[]),
    ("memory", &[]),
    ("dns_client", &[]),
    ("http1", &[]),
    ("pem", &[]),
    ("non_blocking_writer", &[]),
    ("per_worker", &[]),
    ("printable", &[]),
    ("tasks", &[]),
    ("trust", &[]),
    ("uninterrupted", &[]),
    ("prometheus", &[]),
    ("figures", &["per_worker"]),
    ("web_client", &["pem", "printable", "trust"]),
    (
        "traces",
        &["backoff", "per_worker", "printable", "tasks", "web_client"],
    ),
    ("acme", &["backoff", "name", "pem", "printable", "trust"]),
    ("storage", &["name", "tasks"]),
    (
        "certs",
        &[
            "acme",
            "storage",
            "name",
            "backoff",
            "gcra",
            "dns_client",
            "hook_command",
            "log_groups",
            "pem",
            "per_worker",
            "printable",
            "tasks",
            "prometheus",
            "web_client",
        ],
    ),
    ("tls", &["certs", "listener_names", "name", "pem", "trust"]),
    (
        "upstream",
        &[
            "figures",
            "name",
            "backoff",
            "dns_client",
            "http1",
            "log_groups",
            "memory",
            "pem",
            "per_worker",
            "printable",
            "tasks",
            "trust",
            "prometheus",
            "uninterrupted",
            "traces",
        ],
    ),
    (
        "proxy",
        &[
            "figures",
            "http1",
            "upstream",
            "listener_names",
            "name",
            "gcra",
            "memory",
            "per_worker",
            "tasks",
            "prometheus",
            "traces",
        ],
    ),
    (
        "server",
        &[
            "figures",
            "tls",
            "proxy",
            "certs",
            "gcra",
            "http1",
            "listener_names",
            "log_limit",
            "memory",
            "per_worker",
            "tasks",
            "prometheus",
            "uninterrupted",
        ],
    ),
    (
        "admin",
        &[
            "figures",
            "certs",
            "storage",
            "upstream",
            "proxy",
            "log_limit",
            "prometheus",
            "tasks",
            "name",
            "uninterrupted",
            "traces",
        ],
    ),
    // The option types that rooms define, and what they are made of.
    (
        "config",
        &[
            "acme",
            "storage",
            "certs",
            "tls",
            "upstream",
            "proxy",
            "server",
            "admin",
            "listener_names",
            "name",
            "dns_client",
            "pem",
            "traces",
        ],
    ),
    (
        "app",
        &[
            "figures",
            "config",
            "admin",
            "server",
            "listener_names",
            "log_limit",
            "memory",
            "tls",
            "certs",
            "acme",
            "storage",
            "proxy",
            "upstream",
            "name",
            "backoff",
            "dns_client",
            "hook_command",
            "pem",
            "non_blocking_writer",
            "per_worker",
            "printable",
            "tasks",
            "prometheus",
            "traces",
            "web_client",
        ],
    ),
    // The built-in app of the demo runs on tracked tasks like all else; commands about a running
    // proxy ask it over the admin socket.
    (
        "cli",
        &[
            "app",
            "config",
            "admin",
            "tasks",
            "log_limit",
            "uninterrupted",
            "non_blocking_writer",
            "printable",
            "listener_names",
        ],
    ),
];

/// Imports between rooms go by the table only.
pub(crate) fn check(graph: &Graph<'_>) -> Vec<String> {
    let mut complaints = unknown_rooms(graph);
    for one in &graph.uses {
        let source = &graph.sources[one.from];
        let (room, target) = (source.room(), one.path[0].as_str());
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == room) else {
            continue;
        };
        if target != room && !allowed.contains(&target) {
            let rule = format!("`{room}` must not import `{target}`");
            complaints.push(source.complain(one.at, &rule));
        } else if (room, target) == ("server", "certs")
            && !one.path.concat().to_lowercase().contains("http01")
        {
            let rule = "`server` may import of `certs` only the http-01 table";
            complaints.push(source.complain(one.at, rule));
        }
    }
    complaints
}

fn unknown_rooms(graph: &Graph<'_>) -> Vec<String> {
    let is_known = |room: &str| EDGES.iter().any(|(name, _)| *name == room);
    let unknown = graph.sources.iter().filter(|source| {
        let room = source.room();
        !matches!(room, "lib" | "main") && !is_known(room)
    });
    let complain = |source: &super::source::Source| {
        let room = source.room();
        let rule = format!("`{room}` is a room that the table of edges does not know");
        source.complain(0, &rule)
    };
    unknown.map(complain).collect()
}

#[test]
fn edges_lead_downward_only() {
    let allowed = |from: &str| EDGES.iter().find(|(name, _)| *name == from).unwrap().1;
    for (room, targets) in EDGES {
        for target in targets {
            assert!(
                !allowed(target).contains(&room),
                "`{room}` and `{target}` import each other"
            );
            assert!(
                *target != "config" || matches!(room, "app" | "cli"),
                "`{room}` imports `config`"
            );
        }
    }
}
