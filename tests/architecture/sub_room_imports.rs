//! Which sub-room of a room may import which.

use std::collections::BTreeSet;

use super::graph::Graph;
use super::source::Source;
use super::sub_rooms::{Row, SUB_ROOMS};

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
    let sources = super::source::sources("src");
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
