//! Which sub-room of a room may import which.

use std::collections::BTreeSet;

use super::graph::Graph;
use super::source::Source;

/// A sub-room, which is a folder or a file of a room, and the sub-rooms that it may import.
type Row = (&'static str, &'static [&'static str]);

/// For each room, its sub-rooms from the ground up: each may import only some of those before it.
const SUB_ROOMS: [(&str, &[Row]); 7] = [
    (
        "acme",
        &[
            ("resource", &[]),
            ("error", &["resource"]),
            ("jws", &["resource", "error"]),
            ("client", &["resource", "error", "jws"]),
            ("account", &["resource", "error", "jws", "client"]),
            ("renewal_info", &["resource", "error", "client"]),
            (
                "order",
                &[
                    "resource",
                    "error",
                    "jws",
                    "client",
                    "account",
                    "renewal_info",
                ],
            ),
            (
                "revocation",
                &["resource", "error", "jws", "client", "account"],
            ),
        ],
    ),
    (
        "upstream",
        &[
            ("srv_name", &[]),
            ("transport", &[]),
            ("address", &["srv_name"]),
            ("dns", &["srv_name", "address"]),
            ("certificate_fix", &[]),
            ("error", &["address", "certificate_fix"]),
            ("body", &["error"]),
            ("options", &["transport", "dns", "body"]),
            ("connection", &["transport", "address", "body", "options"]),
            ("backend", &["address", "options", "connection"]),
            ("balance", &["options", "backend"]),
            (
                "exchange",
                &[
                    "transport",
                    "address",
                    "error",
                    "body",
                    "options",
                    "connection",
                    "backend",
                ],
            ),
            (
                "group",
                &[
                    "transport",
                    "address",
                    "dns",
                    "error",
                    "body",
                    "options",
                    "connection",
                    "backend",
                    "balance",
                    "exchange",
                ],
            ),
        ],
    ),
    (
        "proxy",
        &[
            ("error", &[]),
            ("service_options", &[]),
            ("access_log", &["error"]),
            ("request", &["error", "service_options", "access_log"]),
            ("header_changes", &["request"]),
            ("compression", &["request"]),
            ("body", &["access_log", "compression"]),
            ("guards", &["error", "request", "body"]),
            ("handler", &["error", "request", "body"]),
            ("respond", &["error", "request", "body"]),
            ("websocket", &["error", "access_log", "request", "body"]),
            (
                "site_features",
                &["request", "compression", "body", "respond"],
            ),
            (
                "routing",
                &[
                    "error",
                    "access_log",
                    "request",
                    "guards",
                    "handler",
                    "header_changes",
                    "site_features",
                ],
            ),
            (
                "service",
                &[
                    "error",
                    "service_options",
                    "request",
                    "body",
                    "guards",
                    "handler",
                    "respond",
                    "websocket",
                    "site_features",
                    "routing",
                ],
            ),
        ],
    ),
    (
        "certs",
        &[
            ("clock", &[]),
            ("dns", &[]),
            ("lru_table", &[]),
            ("on_demand", &[]),
            ("public_suffix", &[]),
            ("secret", &[]),
            ("budget", &["public_suffix"]),
            ("certificate", &["clock"]),
            ("challenge", &["clock", "dns", "secret"]),
            ("issuer", &["clock", "budget", "certificate", "challenge"]),
            ("renewal", &["clock", "certificate"]),
            ("preflight", &["dns", "challenge", "issuer"]),
            ("store", &["clock", "certificate", "issuer", "renewal"]),
            ("import", &["certificate", "issuer", "store"]),
            ("policy", &["on_demand", "issuer", "preflight"]),
            (
                "status",
                &[
                    "on_demand",
                    "public_suffix",
                    "budget",
                    "certificate",
                    "issuer",
                    "renewal",
                    "store",
                    "policy",
                ],
            ),
            (
                "issuance",
                &[
                    "clock",
                    "lru_table",
                    "public_suffix",
                    "budget",
                    "certificate",
                    "issuer",
                    "renewal",
                    "preflight",
                    "store",
                    "policy",
                    "status",
                ],
            ),
            (
                "manager",
                &[
                    "clock",
                    "certificate",
                    "issuer",
                    "renewal",
                    "store",
                    "policy",
                    "status",
                    "issuance",
                ],
            ),
            (
                "troubleshooting_tests",
                &[
                    "dns",
                    "on_demand",
                    "public_suffix",
                    "budget",
                    "certificate",
                    "challenge",
                    "issuer",
                    "preflight",
                    "store",
                    "status",
                    "issuance",
                ],
            ),
            (
                "maintenance",
                &[
                    "clock",
                    "challenge",
                    "issuer",
                    "renewal",
                    "store",
                    "issuance",
                    "manager",
                ],
            ),
        ],
    ),
    (
        "server",
        &[
            ("accept", &[]),
            ("https_location", &[]),
            ("https_ports", &[]),
            ("current_date", &[]),
            ("options", &["accept"]),
            ("direct_responder", &["https_location", "https_ports"]),
            ("forwarding_rules", &["accept"]),
            (
                "connection",
                &["accept", "current_date", "direct_responder", "options"],
            ),
            (
                "http_on_https",
                &["https_location", "https_ports", "connection"],
            ),
            (
                "https",
                &[
                    "accept",
                    "forwarding_rules",
                    "http_on_https",
                    "options",
                    "connection",
                ],
            ),
            (
                "plain_http",
                &[
                    "accept",
                    "direct_responder",
                    "forwarding_rules",
                    "options",
                    "connection",
                ],
            ),
        ],
    ),
    (
        "config",
        &[
            ("keys", &[]),
            ("report", &["keys"]),
            ("toml", &["keys", "report"]),
            ("value", &["keys", "report", "toml"]),
            ("fields", &["report", "toml", "value"]),
            ("model", &["report", "value", "fields"]),
            ("check", &["report", "toml", "value", "model"]),
            ("format", &["report", "toml", "value", "fields", "model"]),
            (
                "read",
                &[
                    "keys", "report", "toml", "value", "fields", "model", "check",
                ],
            ),
            (
                "load",
                &["report", "toml", "value", "fields", "model", "read"],
            ),
        ],
    ),
    (
        "app",
        &[
            ("privileges", &[]),
            ("error", &["privileges"]),
            ("open_file_limit", &[]),
            ("logging", &[]),
            ("signals", &[]),
            ("workers", &[]),
            ("service_manager", &[]),
            ("shutdown", &["workers"]),
            ("routing", &["error"]),
            ("shared_state", &["error", "workers"]),
            ("certificates", &["error", "shared_state"]),
            ("listeners", &["error", "routing"]),
            ("upgrade", &["listeners"]),
            ("admin_endpoints", &["error", "listeners", "upgrade"]),
            (
                "built_config",
                &[
                    "error",
                    "routing",
                    "shared_state",
                    "certificates",
                    "listeners",
                ],
            ),
            ("offline", &["error", "certificates"]),
            (
                "lifecycle",
                &[
                    "error",
                    "open_file_limit",
                    "privileges",
                    "service_manager",
                    "upgrade",
                    "workers",
                    "admin_endpoints",
                    "shutdown",
                    "shared_state",
                    "certificates",
                    "listeners",
                    "built_config",
                ],
            ),
            (
                "signal_loop",
                &[
                    "error",
                    "logging",
                    "signals",
                    "listeners",
                    "privileges",
                    "service_manager",
                    "upgrade",
                    "lifecycle",
                ],
            ),
        ],
    ),
];

/// Imports between sub-rooms go by the table only.
pub(crate) fn check(graph: &Graph<'_>) -> Vec<String> {
    let mut complaints: Vec<_> = graph.sources.iter().filter_map(unknown).collect();
    for one in &graph.uses {
        let Some(to) = one.to else { continue };
        let (source, target) = (&graph.sources[one.from], &graph.sources[to]);
        let Some(rows) = rows(source.room()).filter(|_| source.room() == target.room()) else {
            continue;
        };
        let (Some(from), Some(to)) = (sub_room(source), sub_room(target)) else {
            continue;
        };
        let row = rows.iter().find(|(name, _)| *name == from);
        if from != to && row.is_some_and(|(_, allowed)| !allowed.contains(&to.as_str())) {
            let rule = format!("in `{}`, `{from}` must not import `{to}`", source.room());
            complaints.push(source.complain(one.at, &rule));
        }
    }
    complaints
}

fn rows(room: &str) -> Option<&'static [Row]> {
    let found = SUB_ROOMS.iter().find(|(name, _)| *name == room);
    found.map(|(_, rows)| *rows)
}

/// The folder or file of the room that the source belongs to; none for the room's face.
fn sub_room(source: &Source) -> Option<String> {
    source.module().get(1).cloned()
}

fn unknown(source: &Source) -> Option<String> {
    let (rows, name) = (rows(source.room())?, sub_room(source)?);
    let is_known = rows.iter().any(|(known, _)| *known == name);
    let rule = format!("`{name}` is a sub-room that the table of sub-rooms does not know");
    (!is_known).then(|| source.complain(0, &rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_rooms_import_only_those_before_them() {
        for (room, rows) in SUB_ROOMS {
            let mut before = BTreeSet::new();
            for (name, allowed) in rows {
                for other in *allowed {
                    assert!(
                        before.contains(other),
                        "in `{room}`, `{name}` imports `{other}`"
                    );
                }
                before.insert(*name);
            }
        }
    }

    #[test]
    fn all_sub_rooms_of_the_table_exist() {
        let sources = crate::source::sources("src");
        for (room, rows) in SUB_ROOMS {
            for (name, _) in rows {
                let mut files = sources.iter().filter(|source| source.room() == room);
                assert!(
                    files.any(|source| sub_room(source).is_some_and(|found| found == *name)),
                    "`{room}` has no `{name}`"
                );
            }
        }
    }
}
