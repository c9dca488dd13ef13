//! Circles of files inside a room.

use super::graph::{self, Graph, Use};

/// No files of one room may import each other in a circle.
pub(crate) fn check(graph: &Graph<'_>) -> Vec<String> {
    let next = graph.next(|one| is_inside(graph, one));
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

/// `true` for the use of one file of a room by another.
fn is_inside(graph: &Graph<'_>, one: &Use) -> bool {
    let Some(to) = one.to else {
        return false;
    };
    let (from, to) = (&graph.sources[one.from], &graph.sources[to]);
    from.room() == to.room() && !from.is_face() && !to.is_face()
}
