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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Flags};

    fn sites(sites: &str) -> Vec<SiteConfig> {
        let text = format!("storage = \"file:/data\"\n[sites]\n{sites}");
        let config = Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default());
        config.unwrap().sites
    }

    #[test]
    fn sites_are_told_apart_by_their_names_wherever_they_stand() {
        let before = sites("\"a.test\" = \"1\"\n\"b.test\" = \"1\"\n\"c.test\" = \"1\"\n");
        let after = sites("\"d.test\" = \"1\"\n\"c.test\" = \"2\"\n\"a.test\" = \"1\"\n");
        let changes = Changes::between(&before, &after);
        let (added, removed, changed) = (1, 1, 1);
        assert_eq!(
            changes,
            Changes {
                added,
                removed,
                changed
            }
        );
        assert_eq!(Changes::between(&after, &after), Changes::default());
    }
}
