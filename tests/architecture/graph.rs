//! Which file uses which: each path of the code, followed through the faces to the file that defines its name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::paths::{Import, Paths};
use super::source::Source;

/// A name of the crate in the code of a file.
pub(crate) struct Use {
    pub(crate) from: usize,
    /// The place in the code of `from`.
    pub(crate) at: usize,
    /// The path from the crate's root to the name, through the faces as the code writes it.
    pub(crate) path: Vec<String>,
    /// The file that defines the name, if it is among the sources.
    pub(crate) to: Option<usize>,
}

/// All source files and their uses of each other.
pub(crate) struct Graph<'a> {
    pub(crate) sources: &'a [Source],
    pub(crate) uses: Vec<Use>,
}

/// The modules of the crate: for each, its file, and the names that it re-exports.
struct Modules<'a> {
    files: BTreeMap<Vec<String>, usize>,
    paths: &'a [Paths],
}

impl<'a> Graph<'a> {
    pub(crate) fn of(sources: &'a [Source]) -> Self {
        let paths: Vec<_> = sources
            .iter()
            .map(|source| Paths::of(&source.code))
            .collect();
        let files = sources.iter().enumerate();
        let modules = Modules {
            files: files.map(|(n, source)| (source.module(), n)).collect(),
            paths: &paths,
        };
        let mut uses = Vec::new();
        for (from, source) in sources.iter().enumerate() {
            for (at, path) in modules.named_by(from, &source.module()) {
                let to = modules.definition(&path, 0);
                uses.push(Use { from, at, path, to });
            }
        }
        Self { sources, uses }
    }

    /// The files that each file uses, by the uses that are counted.
    pub(crate) fn next(&self, is_counted: impl Fn(&Use) -> bool) -> Vec<BTreeSet<usize>> {
        let mut next = vec![BTreeSet::new(); self.sources.len()];
        for one in self.uses.iter().filter(|one| is_counted(one)) {
            if let Some(to) = one.to.filter(|to| *to != one.from) {
                next[one.from].insert(to);
            }
        }
        next
    }
}

/// The circles among files: each a set of files that all lead to each other.
pub(crate) fn circles(next: &[BTreeSet<usize>]) -> BTreeSet<Vec<usize>> {
    let reached: Vec<_> = (0..next.len()).map(|start| reach(next, start)).collect();
    let among = |(file, targets): (usize, &BTreeSet<usize>)| -> Vec<usize> {
        let leads_back = |other: &usize| reached[*other].contains(&file);
        targets.iter().copied().filter(leads_back).collect()
    };
    let circles = reached.iter().enumerate().map(among);
    circles.filter(|circle| circle.len() > 1).collect()
}

/// A shortest way round within a circle, without its return to the start.
pub(crate) fn way_round(next: &[BTreeSet<usize>], circle: &[usize]) -> Vec<usize> {
    let ways = circle.iter().filter_map(|start| {
        let mut ways = VecDeque::from([vec![*start]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop_front() {
            for other in &next[way[way.len() - 1]] {
                if other == start {
                    return Some(way);
                }
                if seen.insert(*other) {
                    ways.push_back([&way[..], &[*other]].concat());
                }
            }
        }
        None
    });
    ways.min_by_key(Vec::len).unwrap_or_default()
}

/// The files that `start` leads to, in any number of steps.
fn reach(next: &[BTreeSet<usize>], start: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![start];
    while let Some(file) = waiting.pop() {
        for other in &next[file] {
            if found.insert(*other) {
                waiting.push(*other);
            }
        }
    }
    found
}

impl Modules<'_> {
    /// The paths of a file from the crate's root, with their places.
    fn named_by(&self, file: usize, module: &[String]) -> Vec<(usize, Vec<String>)> {
        let mut named = Vec::new();
        let mut local = BTreeMap::new();
        for Import { path, name } in &self.paths[file].imports {
            if let Some(absolute) = self.absolute(module, &path.segments, &BTreeMap::new()) {
                local.insert(name.clone(), absolute.clone());
                named.push((path.at, absolute));
            }
        }
        for path in &self.paths[file].written_out {
            if let Some(absolute) = self.absolute(module, &path.segments, &local) {
                named.push((path.at, absolute));
            }
        }
        named
    }

    /// The path from the crate's root; none where it leads out of the crate.
    fn absolute(
        &self,
        module: &[String],
        segments: &[String],
        local: &BTreeMap<String, Vec<String>>,
    ) -> Option<Vec<String>> {
        let (first, mut rest) = segments.split_first()?;
        let mut start = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => parent(module),
            _ => match local.get(first) {
                Some(path) => path.clone(),
                None => self.child(module, first)?,
            },
        };
        while let Some(("super", more)) = rest.split_first().map(|(s, more)| (s.as_str(), more)) {
            start = parent(&start);
            rest = more;
        }
        start.extend_from_slice(rest);
        Some(start)
    }

    fn child(&self, module: &[String], name: &str) -> Option<Vec<String>> {
        let mut path = module.to_vec();
        path.push(name.to_owned());
        self.files.contains_key(&path).then_some(path)
    }

    /// The file that defines the name at the end of a path from the crate's root.
    fn definition(&self, path: &[String], depth: usize) -> Option<usize> {
        let mut module = Vec::new();
        for (n, name) in path.iter().enumerate() {
            if let Some(child) = self.child(&module, name) {
                module = child;
                continue;
            }
            let file = *self.files.get(&module)?;
            let exported = self.paths[file]
                .imports
                .iter()
                .find(|import| import.name == *name)
                .and_then(|import| self.absolute(&module, &import.path.segments, &BTreeMap::new()));
            return match exported {
                Some(mut target) if depth < 9 => {
                    target.extend_from_slice(&path[n + 1..]);
                    self.definition(&target, depth + 1)
                }
                _ => Some(file),
            };
        }
        self.files.get(&module).copied()
    }
}

fn parent(module: &[String]) -> Vec<String> {
    module[..module.len().saturating_sub(1)].to_vec()
}
