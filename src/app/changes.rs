//! What has changed between two configurations.

use std::collections::HashMap;

use crate::config::SiteConfig;

/// How many sites have come, have gone, and are served otherwise than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that were not there.
    pub added: usize,
    /// Those that are not there any more.
    pub removed: usize,
    /// Those that something else is said of.
    pub changed: usize,
}

impl Changes {
    pub(super) fn between(before: &[SiteConfig], after: &[SiteConfig]) -> Self {
        let before: HashMap<_, _> = before.iter().map(|site| (&site.pattern, site)).collect();
        let known = after
            .iter()
            .filter_map(|site| Some((*before.get(&site.pattern)?, site)));
        let (mut stayed, mut changed) = (0, 0);
        for (former, site) in known {
            stayed += 1;
            changed += usize::from(former != site);
        }
        Self {
            added: after.len() - stayed,
            removed: before.len() - stayed,
            changed,
        }
    }
}
