//! Pages of a folder's content, selected from names in any order.

use std::collections::BinaryHeap;

use super::Key;

/// A request for a part of a folder.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest<'a> {
    /// The folder.
    pub folder: &'a Key,
    /// Only segments with this ending are listed. The ending is removed.
    pub ending: &'a str,
    /// Only segments after this one are listed, which is from an earlier page.
    pub after: Option<&'a str>,
    /// Most segments of the page.
    pub limit: usize,
}

/// The first segments among those that were offered.
#[derive(Debug)]
pub(super) struct PageBuilder {
    ending: String,
    after: Option<String>,
    limit: usize,
    first: BinaryHeap<String>,
}

impl PageBuilder {
    pub(super) fn new(request: PageRequest<'_>) -> Self {
        Self {
            ending: request.ending.to_owned(),
            after: request.after.map(str::to_owned),
            limit: request.limit,
            first: BinaryHeap::new(),
        }
    }

    pub(super) fn offer(&mut self, segment: &str) {
        let Some(segment) = segment.strip_suffix(&self.ending) else {
            return;
        };
        if self.after.as_deref().is_some_and(|after| segment <= after) {
            return;
        }
        let is_full = self.first.len() >= self.limit;
        if is_full
            && self
                .first
                .peek()
                .is_none_or(|last| segment >= last.as_str())
        {
            return;
        }
        self.first.push(segment.to_owned());
        if is_full {
            self.first.pop();
        }
    }

    pub(super) fn finish(self) -> Vec<String> {
        self.first.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(after: Option<&str>, limit: usize) -> Vec<String> {
        let folder = Key::new(&["attempts"]);
        let mut builder = PageBuilder::new(PageRequest {
            folder: &folder,
            ending: ".json",
            after,
            limit,
        });
        for segment in ["c.json", "a.b.json", "a.json", "other", "b.json", "d.json"] {
            builder.offer(segment);
        }
        builder.finish()
    }

    #[test]
    fn pages_follow_each_other_in_order_without_gap() {
        assert_eq!(pick(None, 2), ["a", "a.b"]);
        assert_eq!(pick(Some("a.b"), 2), ["b", "c"]);
        assert_eq!(pick(Some("c"), 2), ["d"]);
        assert!(pick(Some("d"), 2).is_empty());
        assert!(pick(None, 0).is_empty());
    }
}
