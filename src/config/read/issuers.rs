//! Reads the CAs: `[[issuers]]` and `[internal-ca]`.

use crate::certs::IssuerOptions;
use crate::config::fields::{self, TableReader, read_value};
use crate::config::model::Config;
use crate::config::report::{Origin, Problem, Report};
use crate::config::toml::TomlValue;
use crate::config::value::Directory;

/// Reads both. A list of issuers replaces the default issuer.
pub(crate) fn read(reader: TableReader<'_, '_>, config: &mut Config, report: &mut Report<'_>) {
    if let Some(list) = reader.table.read("issuers", report, TomlValue::list) {
        let issuers = read_list(list, reader, report);
        if issuers.iter().any(|issuer| issuer.root.is_some()) {
            config.origins.set("issuers.root", Origin::File);
        }
        if !issuers.is_empty() {
            config.origins.set("issuers.directory", Origin::File);
            config.issuers = issuers;
        }
    }
    let constraints = reader.read_inner("internal-ca", report, |inner, report| {
        inner.read_key("name-constraints", fields::name_constraints(), report)
    });
    if let Some(constraints) = constraints.flatten() {
        config.internal_ca.name_constraints = constraints;
    }
}

fn read_list(
    list: Vec<TomlValue<'_>>,
    reader: TableReader<'_, '_>,
    report: &mut Report<'_>,
) -> Vec<IssuerOptions> {
    let mut issuers: Vec<IssuerOptions> = Vec::new();
    for value in list {
        let issuer = if value.is_string() {
            read_directory(&value, report)
        } else {
            read_value(&value, reader.folder, report, read_issuer).flatten()
        };
        let Some(issuer) = issuer else { continue };
        if issuers.iter().any(|other| other.name == issuer.name) {
            report.at(value.start(), Problem::SameIssuer(issuer.name.clone()));
        }
        issuers.push(issuer);
    }
    issuers
}

/// Reads a CA that is only its directory.
fn read_directory(value: &TomlValue<'_>, report: &mut Report<'_>) -> Option<IssuerOptions> {
    let directory = value.string().and_then(Directory::parse);
    let directory = report.accept(value.start(), directory)?;
    let needs_account = directory.needs_account;
    let issuer = directory.into_issuer();
    if needs_account {
        report.at(value.start(), Problem::NeedsExternalAccount(issuer.name));
        return None;
    }
    Some(issuer)
}

fn read_issuer(reader: TableReader<'_, '_>, report: &mut Report<'_>) -> Option<IssuerOptions> {
    let TableReader { table, .. } = reader;
    let parse = |value: &TomlValue<'_>| Directory::parse(value.string()?);
    let directory = table.read("directory", report, parse);
    let known = directory.clone().unwrap_or_else(Directory::letsencrypt);
    let mut issuer = known.into_issuer();
    reader.read(&fields::issuer(), &mut issuer, report);
    if directory?.needs_account && !table.has("eab") {
        let start = table.value("directory").map_or(0, |value| value.start());
        report.at(start, Problem::NeedsExternalAccount(issuer.name));
        return None;
    }
    Some(issuer)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::acme::{ChallengeType, ExternalAccount};
    use crate::certs::KeyType;
    use crate::config::{Error, Flags};

    fn load(issuers: &str, site: &str) -> Result<Config, Error> {
        let text = format!(
            "storage = \"file:/data\"\nemail = \"ops@example.org\"\n{issuers}\n[sites]\n{site}\n"
        );
        Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default())
    }

    #[test]
    fn a_directory_alone_is_an_issuer() {
        let config = load(
            r#"issuers = ["letsencrypt-staging", "https://ca.example.com/dir"]"#,
            SITE,
        );
        let issuers = config.unwrap().issuers;
        let names: Vec<_> = issuers.iter().map(|issuer| issuer.name.as_str()).collect();
        assert_eq!(names, ["letsencrypt-staging", "ca.example.com"]);
        let error = load(r#"issuers = ["zerossl"]"#, SITE)
            .unwrap_err()
            .to_string();
        assert!(error.contains("requires credentials"), "{error}");
    }

    const SITE: &str = "\"www.example.org\" = \"3000\"";

    #[test]
    fn issuers_are_read_in_order_with_all_their_keys() {
        let config = load(
            r#"
            [[issuers]]
            directory = "letsencrypt"
            [[issuers]]
            directory = "https://ca.example.com/dir"
            name = "corp"
            email = "pki@example.com"
            eab = { key-id = "kid-1", hmac-key = "c2VjcmV0MQ" }
            profile = "shortlived"
            preferred-chain = "Example Root"
            key-type = "rsa2048"
            challenges = ["tls-alpn-01", "http-01", "tls-alpn-01"]
            staging = "https://ca.example.com/staging"
            "#,
            SITE,
        )
        .unwrap();
        let [first, second] = config.issuers.as_slice() else {
            panic!("{:?}", config.issuers);
        };
        assert_eq!(first.name, "letsencrypt");
        assert_eq!(first.email.as_deref(), Some("ops@example.org"));
        let staging = first.staging.as_ref().unwrap();
        assert_eq!(
            staging.as_str(),
            "https://acme-staging-v02.api.letsencrypt.org/directory"
        );
        let expected = IssuerOptions {
            email: Some("pki@example.com".to_owned()),
            external_account: ExternalAccount::new("kid-1".to_owned(), "c2VjcmV0MQ"),
            profile: Some("shortlived".to_owned()),
            preferred_chain: Some("Example Root".to_owned()),
            key_type: KeyType::Rsa2048,
            challenges: vec![ChallengeType::TlsAlpn01, ChallengeType::Http01],
            staging: Some("https://ca.example.com/staging".parse().unwrap()),
            ..IssuerOptions::new(
                "corp".to_owned(),
                "https://ca.example.com/dir".parse().unwrap(),
            )
        };
        assert_eq!(*second, expected);
        assert!(!format!("{second:?}").contains("c2VjcmV0MQ"));
    }

    #[test]
    fn problems_are_reported_with_their_fix() {
        const CA: &str = "[[issuers]]\ndirectory = \"https://ca.test/dir\"\n";
        for (issuers, part) in [
            (format!("{CA}profil = \"x\""), "did you mean `profile`?"),
            (format!("{CA}key-type = \"p521\""), "use `p256`"),
            (format!("{CA}challenges = [\"http\"]"), "use `http-01`"),
            (format!("{CA}name = \"internal\""), "means the internal CA"),
            (
                format!("{CA}eab = {{ key-id = \"k\" }}"),
                "`hmac-key` is missing",
            ),
            (
                format!("{CA}eab = {{ key-id = \"k\", hmac-key = \"no base64!\" }}"),
                "not base64url",
            ),
            (
                format!("{CA}eab = {{ key-id = \"k\", hmac-key = \"env:NO_SUCH_VARIABLE_HERE\" }}"),
                "set it, or use a file",
            ),
            (
                format!("{CA}eab = {{ keyid = \"k\" }}"),
                "did you mean `key-id`?",
            ),
            (format!("{CA}{CA}"), "set another `name` for one of them"),
            (
                "[[issuers]]\ndirectory = \"zerossl\"".to_owned(),
                "add `eab",
            ),
            (
                "[[issuers]]\ndirectory = \"letsencript\"".to_owned(),
                "did you mean `letsencrypt`?",
            ),
        ] {
            let message = load(&issuers, SITE).unwrap_err().to_string();
            assert!(message.contains(part), "{issuers}: {message}");
            assert!(!message.contains("no base64!"), "{message}");
        }
    }

    #[test]
    fn a_site_selects_its_issuer() {
        let corp = "[[issuers]]\ndirectory = \"https://ca.test/dir\"\nname = \"corp\"\n";
        let site = |issuer: &str| {
            format!("\"app.test\" = {{ upstream = \"3000\", issuer = \"{issuer}\" }}")
        };
        let named = load(corp, &site("corp")).unwrap();
        assert_eq!(named.sites[0].issuer.as_deref(), Some("corp"));
        let internal = load(corp, &site("internal")).unwrap();
        assert_eq!(internal.sites[0].issuer.as_deref(), Some("internal"));
        let unknown = load(corp, &site("corpse")).unwrap_err().to_string();
        assert!(unknown.contains("use `internal` or `corp`"), "{unknown}");
    }

    fn load_text(text: &str) -> Result<Config, String> {
        let text = format!("storage = \"file:/data\"\n{text}\n[sites]\n\"a.test\" = \"3000\"\n");
        let path = Path::new("/etc/proxy/Proxyfile");
        Config::from_proxyfile(path, &text, &Flags::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn hook_and_constraints_are_read() {
        let config = load_text(
            "on-cert = \"hook\"\n[internal-ca]\nname-constraints = [\"test\", \"10.1.0.0/8\"]",
        );
        let config = config.unwrap();
        assert_eq!(config.on_cert.unwrap(), Path::new("/etc/proxy/hook"));
        let constraints = config.internal_ca.name_constraints;
        let printed: Vec<_> = constraints.iter().map(ToString::to_string).collect();
        assert_eq!(printed, ["test", "10.0.0.0/8"]);
    }

    #[test]
    fn a_command_in_the_folder_of_the_file_is_not_searched_for_in_the_path() {
        let text = "storage = \"file:/data\"\non-cert = \"hook\"\n[sites]\n\"a.test\" = \"3000\"\n";
        let config = Config::from_proxyfile(Path::new("Proxyfile"), text, &Flags::default());
        assert_eq!(config.unwrap().on_cert.unwrap(), Path::new("./hook"));
    }

    #[test]
    fn problems_are_reported_at_their_location() {
        for (text, part) in [
            ("on-cert = \"\"", "Proxyfile:2:11: `on-cert` is empty"),
            (
                "[internal-ca]\nname-constraints = \"test\"",
                "takes a list of strings",
            ),
            (
                "[internal-ca]\nname-constraints = [\"test\", \"*.test\"]",
                "Proxyfile:3:29: `*.test` is not a valid name constraint; use a domain",
            ),
            (
                "[internal-ca]\ncolour = []",
                "known here: `name-constraints`",
            ),
        ] {
            let error = load_text(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
