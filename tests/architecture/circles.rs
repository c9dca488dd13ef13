//! Circles of files inside a room.

use super::graph::{self, Graph, Use};

/// Types whose `impl` blocks are split over files of one folder: their imports of the type lead up to the file that
/// defines it, which calls what they add.
const SPLIT_TYPES: [(&str, &str); 0] = [];

/// No files of one room may import each other in a circle.
pub(crate) fn check(graph: &Graph<'_>) -> Vec<String> {
    let next = graph.next(|one| is_counted(graph, one));
    let path = |file: usize| graph.sources[file].path.display();
    let mut complaints = Vec::new();
    for circle in graph::circles(&next) {
        let way = graph::way_round(&next, &circle);
        let mut steps: Vec<_> = way.iter().map(|file| path(*file).to_string()).collect();
        steps.push(steps[0].clone());
        let rule = format!(
            "a circle of imports inside a room, {} files in all: {}",
            circle.len(),
            steps.join(" -> ")
        );
        complaints.push(graph.sources[way[0]].complain(0, &rule));
    }
    complaints
}

/// `true` for the use of one file of a room by another, unless it is that of a split type.
fn is_counted(graph: &Graph<'_>, one: &Use) -> bool {
    let Some(to) = one.to else {
        return false;
    };
    let (from, to) = (&graph.sources[one.from], &graph.sources[to]);
    let is_inside = from.room() == to.room() && !from.is_face() && !to.is_face();
    is_inside && !is_split(from, &one.path)
}

fn is_split(from: &super::source::Source, path: &[String]) -> bool {
    SPLIT_TYPES.iter().any(|(folder, name)| {
        from.path
            .parent()
            .is_some_and(|parent| parent == std::path::Path::new(folder))
            && path.last().is_some_and(|last| last == name)
            && from.code.contains(&format!("impl {name} {{"))
    })
}
