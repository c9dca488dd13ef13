//! `proxy reload`: the running proxy reads its configuration again.

use std::io::{self, Write};

use super::certs::{Error, TargetFlags, wait_for};
use crate::admin;

/// Have the running proxy read its configuration again, and show what has changed.
#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetFlags,
}

impl Reload {
    pub(super) fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        wait_for(async {
            let reloaded = self.target.running().await?.reload().await?;
            if self.json {
                writeln!(out, "{}", serde_json::to_string_pretty(&reloaded)?)?;
            } else {
                write_changes(&reloaded, out)?;
            }
            Ok(())
        })
    }
}

fn write_changes(reloaded: &admin::Reloaded, out: &mut dyn Write) -> io::Result<()> {
    let sites = match reloaded.sites {
        1 => "1 site".to_owned(),
        sites => format!("{sites} sites"),
    };
    writeln!(out, "reloaded {}, which has {sites}", reloaded.file)?;
    let rows = [
        ("added", &reloaded.added),
        ("removed", &reloaded.removed),
        ("changed", &reloaded.changed),
    ];
    if rows.iter().all(|(_, rows)| rows.is_empty()) {
        return writeln!(
            out,
            "nothing has changed in it; the files that it names were read again"
        );
    }
    for (word, rows) in rows {
        for row in rows {
            writeln!(out, "{word:<8} {row}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reloaded: &admin::Reloaded) -> String {
        let mut out = Vec::new();
        write_changes(reloaded, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_change_has_a_line() {
        let mut reloaded = admin::Reloaded {
            file: "/etc/proxy/Proxyfile".to_owned(),
            sites: 2,
            added: vec!["b.example.org".to_owned()],
            removed: vec!["c.example.org".to_owned()],
            changed: vec![
                "a.example.org: upstream".to_owned(),
                "limits.body-timeout: \"1m\" -> \"5m\"".to_owned(),
            ],
        };
        let expected = "\
reloaded /etc/proxy/Proxyfile, which has 2 sites
added    b.example.org
removed  c.example.org
changed  a.example.org: upstream
changed  limits.body-timeout: \"1m\" -> \"5m\"
";
        assert_eq!(written(&reloaded), expected);
        reloaded = admin::Reloaded {
            file: reloaded.file,
            sites: 1,
            ..admin::Reloaded::default()
        };
        let expected = "\
reloaded /etc/proxy/Proxyfile, which has 1 site
nothing has changed in it; the files that it names were read again
";
        assert_eq!(written(&reloaded), expected);
    }
}
