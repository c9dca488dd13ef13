//! Check of the configuration that runs: whether it is the one in the Proxyfile.

use std::collections::BTreeSet;

use crate::admin::CheckResult;
use crate::config::{Config, ConfigChanges, ConfigFile};

/// The word for the results.
const CHECK: &str = "configuration";
/// Most differences that are named.
const NAMED: usize = 3;

/// Reads the Proxyfile of the running proxy again, and compares it with the configuration that runs. Blocks.
pub(super) fn compare(running: &Config, file: &ConfigFile) -> Vec<CheckResult> {
    let shown = file.path().display();
    let read = match file.read_again(running) {
        Ok(config) => config,
        Err(error) => {
            let reasons = error.to_string();
            let refused = reasons.lines().map(|reason| {
                let sentence = format!("the running proxy cannot take over its file: {reason}");
                CheckResult::warn(CHECK, sentence)
            });
            return refused.collect();
        }
    };
    let changes = ConfigChanges::between(running, &read);
    let result = if changes.is_empty() {
        CheckResult::ok(CHECK, format!("the running proxy has {shown} in effect"))
    } else {
        let differences = differences(changes);
        CheckResult::warn(
            CHECK,
            format!(
                "the running proxy has another version of {shown}, which differs in {differences}; run `proxy reload`"
            ),
        )
    };
    vec![result]
}

/// Names the sites and settings that differ, the first ones.
fn differences(changes: ConfigChanges) -> String {
    let sites = [changes.added, changes.removed].concat().into_iter();
    let sites = sites.chain(changes.changed.into_iter().map(|site| site.name));
    let settings = changes.settings.into_iter().map(|setting| setting.key);
    let all: BTreeSet<String> = sites.chain(settings).collect();
    let left = all.len().saturating_sub(NAMED);
    let mut named: Vec<_> = all.into_iter().take(NAMED).collect();
    if left > 0 {
        named.push(format!("{left} more"));
    }
    match named.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        all => all.concat(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::admin::CheckStatus::{self, Ok, Warn};
    use crate::config::Flags;

    fn text(folder: &Path, rest: &str) -> String {
        format!(
            "storage = \"file:{}\"\n{rest}\n[sites]\n\"a.test\" = \"1\"\n",
            folder.display()
        )
    }

    #[track_caller]
    fn assert_told(file: &ConfigFile, running: &Config, status: CheckStatus, part: &str) {
        let [told] = &compare(running, file)[..] else {
            panic!("not one result")
        };
        assert_eq!(told.status, status, "{told:?}");
        assert!(told.sentence.contains(part), "{told:?}");
    }

    #[test]
    fn a_file_that_is_not_in_effect_is_told_with_what_differs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Proxyfile");
        let before = text(dir.path(), "");
        fs::write(&path, &before).unwrap();
        let file = ConfigFile::new(path.clone(), Flags::default());
        let running = file.read().unwrap();
        assert_told(&file, &running, Ok, "in effect");

        let added = |count: usize| (0..count).map(|number| format!("\"n{number}.test\" = \"1\"\n"));
        for (after, part) in [
            (
                before.clone() + &added(1).collect::<String>(),
                "which differs in n0.test; run `proxy reload`",
            ),
            (
                text(dir.path(), "email = \"a@b.test\"") + &added(1).collect::<String>(),
                "which differs in email, issuers and n0.test;",
            ),
            (
                before.clone() + &added(5).collect::<String>(),
                "which differs in n0.test, n1.test, n2.test and 2 more;",
            ),
            (
                text(&dir.path().join("other"), ""),
                "cannot take over its file: ",
            ),
            ("site = 1\n".to_owned() + &before, "unknown key `site`"),
        ] {
            fs::write(&path, after).unwrap();
            assert_told(&file, &running, Warn, part);
        }
    }
}
