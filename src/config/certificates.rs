//! What a Proxyfile says of certificates beside their issuers: the internal CA and the hook.

use std::path::{Path, PathBuf};

use crate::certs::issuer::NameConstraint;

use super::diagnostic::Report;
use super::origin::Origin;
use super::problem::Problem;
use super::settings::Config;
use super::table::{Table, Value};

/// Reads `on-cert` and `[internal-ca]`.
pub(super) fn read(
    table: &mut Table<'_>,
    folder: &Path,
    config: &mut Config,
    report: &mut Report<'_>,
) {
    let hook = table.read("on-cert", report, |value| match value.string()? {
        "" => Err(Problem::NoHook),
        path => Ok(command(folder, path)),
    });
    if hook.is_some() {
        config.on_cert = hook;
        config.origins.set("on-cert", Origin::File);
    }
    if let Some(mut section) = table.read("internal-ca", report, Value::table) {
        read_constraints(&mut section, config, report);
        section.finish(report);
    }
}

/// A command whose relative path starts at `folder`. A bare name would be looked for in `PATH`.
pub(super) fn command(folder: &Path, path: &str) -> PathBuf {
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    folder.join(path)
}

fn read_constraints(section: &mut Table<'_>, config: &mut Config, report: &mut Report<'_>) {
    let expected = "a list of strings, as in `[\"home.arpa\"]`";
    let Some(list) = section.read("name-constraints", report, |value| value.list(expected)) else {
        return;
    };
    let constraints = &mut config.internal_ca.name_constraints;
    for value in list {
        match parse_constraint(&value) {
            Ok(constraint) => constraints.push(constraint),
            Err(problem) => report.at(value.start(), problem),
        }
    }
    let origins = &mut config.origins;
    origins.set("internal-ca.name-constraints", Origin::File);
}

fn parse_constraint(value: &Value<'_>) -> Result<NameConstraint, Problem> {
    let text = value.string()?;
    NameConstraint::parse(text).ok_or_else(|| Problem::NameConstraint(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    fn load(text: &str) -> Result<Config, String> {
        let text = format!("storage = \"file:/data\"\n{text}\n[sites]\n\"a.test\" = \"3000\"\n");
        let path = Path::new("/etc/proxy/Proxyfile");
        Config::from_proxyfile(path, &text, &Flags::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn hook_and_constraints_are_read() {
        let config = load(
            "on-cert = \"hook\"\n[internal-ca]\nname-constraints = [\"test\", \"10.1.0.0/8\"]",
        );
        let config = config.unwrap();
        assert_eq!(config.on_cert.unwrap(), Path::new("/etc/proxy/hook"));
        let constraints = config.internal_ca.name_constraints;
        let printed: Vec<_> = constraints.iter().map(ToString::to_string).collect();
        assert_eq!(printed, ["test", "10.0.0.0/8"]);
    }

    #[test]
    fn a_command_beside_the_file_is_not_looked_for_in_the_path() {
        let text = "storage = \"file:/data\"\non-cert = \"hook\"\n[sites]\n\"a.test\" = \"3000\"\n";
        let config = Config::from_proxyfile(Path::new("Proxyfile"), text, &Flags::default());
        assert_eq!(config.unwrap().on_cert.unwrap(), Path::new("./hook"));
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        for (text, part) in [
            (
                "on-cert = \"\"",
                "Proxyfile:2:11: `on-cert` names no command",
            ),
            (
                "[internal-ca]\nname-constraints = \"test\"",
                "takes a list of strings",
            ),
            (
                "[internal-ca]\nname-constraints = [\"test\", \"*.test\"]",
                "Proxyfile:3:29: `*.test` is no name constraint; write a domain",
            ),
            (
                "[internal-ca]\ncolour = []",
                "known here: `name-constraints`",
            ),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
