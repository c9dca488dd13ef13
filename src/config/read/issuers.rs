//! The `[[issuers]]` of a Proxyfile.

use std::path::Path;

use crate::acme::{ChallengeType, ExternalAccount};
use crate::certs::issuer::NameConstraint;
use crate::certs::{IssuerOptions, KeyType, Secret};
use crate::config::model::{Config, INTERNAL};
use crate::config::report::{Origin, Problem, Report};
use crate::config::value::{Directory, TomlTable, TomlValue, command, parse_email, read_secret};

/// Reads the list in the place of the default one.
pub(crate) fn read(
    table: &mut TomlTable<'_>,
    folder: &Path,
    config: &mut Config,
    report: &mut Report<'_>,
) {
    let expected = "a list of tables; write `[[issuers]]`";
    let Some(list) = table.read("issuers", report, |value| value.list(expected)) else {
        return;
    };
    let mut issuers: Vec<IssuerOptions> = Vec::new();
    for value in list {
        let section = match value.table() {
            Ok(section) => section,
            Err(problem) => {
                report.at(value.start(), problem);
                continue;
            }
        };
        let mut reader = IssuerReader {
            section,
            folder,
            report,
        };
        let Some(issuer) = reader.read() else {
            reader.section.finish(report);
            continue;
        };
        reader.section.finish(report);
        if issuers.iter().any(|other| other.name == issuer.name) {
            report.at(value.start(), Problem::SameIssuer(issuer.name.clone()));
        }
        config.origins.set("issuers.directory", Origin::File);
        if issuer.root.is_some() {
            config.origins.set("issuers.root", Origin::File);
        }
        issuers.push(issuer);
    }
    if !issuers.is_empty() {
        config.issuers = issuers;
    }
}

struct IssuerReader<'a, 't, 'r> {
    section: TomlTable<'t>,
    folder: &'a Path,
    report: &'a mut Report<'r>,
}

impl IssuerReader<'_, '_, '_> {
    fn read(&mut self) -> Option<IssuerOptions> {
        let key = ("directory", "directory = \"letsencrypt\"");
        let directory = self
            .section
            .require(key, self.report, |value| Directory::parse(value.string()?));
        let name = self
            .section
            .read("name", self.report, |value| parse_name(value.string()?));
        let folder = self.folder;
        let root = self.section.read(
            "root",
            self.report,
            |value| Ok(folder.join(value.string()?)),
        );
        let email = self
            .section
            .read("email", self.report, |value| parse_email(value.string()?));
        let external_account = self.read_external_account();
        let text = |value: &TomlValue<'_>| value.string().map(str::to_owned);
        let profile = self.section.read("profile", self.report, text);
        let preferred_chain = self.section.read("preferred-chain", self.report, text);
        let key_type = self.section.read("key-type", self.report, |value| {
            parse_key_type(value.string()?)
        });
        let challenges = self.read_challenges();
        let staging = self.section.read("staging", self.report, |value| {
            Directory::parse(value.string()?)
        });
        let Directory {
            name: known,
            url,
            staging: twin,
            needs_account,
        } = directory?;
        let name = name.unwrap_or(known);
        if needs_account && external_account.is_none() && self.section.value("eab").is_none() {
            let value = self.section.value("directory");
            let start = value.map_or_else(|| self.section.start(), |value| value.start());
            self.report.at(start, Problem::NeedsExternalAccount(name));
            return None;
        }
        Some(IssuerOptions {
            root,
            email,
            external_account,
            profile,
            preferred_chain,
            key_type: key_type.unwrap_or_default(),
            challenges,
            staging: staging.map(|staging| staging.url).or(twin),
            ..IssuerOptions::new(name, url)
        })
    }

    fn read_external_account(&mut self) -> Option<ExternalAccount> {
        let mut table = self.section.read("eab", self.report, TomlValue::table)?;
        let folder = self.folder;
        let example = "eab = { key-id = \"kid-1\", hmac-key = \"env:EAB_HMAC_KEY\" }";
        let key_id = table.require(("key-id", example), self.report, |value| {
            value.string().map(str::to_owned)
        });
        let secret = table.require(("hmac-key", example), self.report, |value| {
            let secret = read_secret(value.string()?, folder)?;
            external_account(String::from("any"), &secret).map(|_| secret)
        });
        table.finish(self.report);
        ExternalAccount::new(key_id?, secret?.expose())
    }

    fn read_challenges(&mut self) -> Vec<ChallengeType> {
        let expected = "a list, as in `[\"http-01\"]`";
        let Some(list) = self
            .section
            .read("challenges", self.report, |value| value.list(expected))
        else {
            return Vec::new();
        };
        let mut challenges = Vec::new();
        for value in list {
            match value.string().and_then(parse_challenge) {
                Ok(challenge) if challenges.contains(&challenge) => (),
                Ok(challenge) => challenges.push(challenge),
                Err(problem) => self.report.at(value.start(), problem),
            }
        }
        challenges
    }
}

/// The credentials, when the key can be one.
pub(crate) fn external_account(
    key_id: String,
    secret: &Secret,
) -> Result<ExternalAccount, Problem> {
    ExternalAccount::new(key_id, secret.expose()).ok_or(Problem::HmacKey)
}

fn parse_name(text: &str) -> Result<String, Problem> {
    match text {
        "" | INTERNAL => Err(Problem::IssuerName(text.to_owned())),
        text => Ok(text.to_owned()),
    }
}

fn parse_key_type(text: &str) -> Result<KeyType, Problem> {
    match text {
        "p256" => Ok(KeyType::P256),
        "p384" => Ok(KeyType::P384),
        "rsa2048" => Ok(KeyType::Rsa2048),
        "rsa4096" => Ok(KeyType::Rsa4096),
        _ => Err(Problem::KeyType(text.to_owned())),
    }
}

fn parse_challenge(text: &str) -> Result<ChallengeType, Problem> {
    match text {
        "http-01" => Ok(ChallengeType::Http01),
        "tls-alpn-01" => Ok(ChallengeType::TlsAlpn01),
        "dns-01" => Ok(ChallengeType::Dns01),
        "dns-persist-01" => Ok(ChallengeType::DnsPersist01),
        _ => Err(Problem::Challenge(text.to_owned())),
    }
}

/// Reads `on-cert` and `[internal-ca]`.
pub(crate) fn read_internal_ca(
    table: &mut TomlTable<'_>,
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
    if let Some(mut section) = table.read("internal-ca", report, TomlValue::table) {
        read_constraints(&mut section, config, report);
        section.finish(report);
    }
}

fn read_constraints(section: &mut TomlTable<'_>, config: &mut Config, report: &mut Report<'_>) {
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

fn parse_constraint(value: &TomlValue<'_>) -> Result<NameConstraint, Problem> {
    let text = value.string()?;
    NameConstraint::parse(text).ok_or_else(|| Problem::NameConstraint(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Error, Flags};

    fn load(issuers: &str, site: &str) -> Result<Config, Error> {
        let text = format!(
            "storage = \"file:/data\"\nemail = \"ops@example.org\"\n{issuers}\n[sites]\n{site}\n"
        );
        Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default())
    }

    const SITE: &str = "\"www.example.org\" = \"3000\"";

    #[test]
    fn issuers_are_read_in_order_with_all_that_they_need() {
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
    fn mistakes_are_told_with_the_fix() {
        const CA: &str = "[[issuers]]\ndirectory = \"https://ca.test/dir\"\n";
        for (issuers, part) in [
            (format!("{CA}profil = \"x\""), "did you mean `profile`?"),
            (format!("{CA}key-type = \"p521\""), "write `p256`"),
            (format!("{CA}challenges = [\"http\"]"), "write `http-01`"),
            (format!("{CA}name = \"internal\""), "this machine's own CA"),
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
                "set it",
            ),
            (
                format!("{CA}eab = {{ keyid = \"k\" }}"),
                "did you mean `key-id`?",
            ),
            (format!("{CA}{CA}"), "give one of them another `name`"),
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
    fn a_site_names_its_issuer() {
        let corp = "[[issuers]]\ndirectory = \"https://ca.test/dir\"\nname = \"corp\"\n";
        let site = |issuer: &str| {
            format!("\"app.test\" = {{ upstream = \"3000\", issuer = \"{issuer}\" }}")
        };
        let named = load(corp, &site("corp")).unwrap();
        assert_eq!(named.sites[0].issuer.as_deref(), Some("corp"));
        let internal = load(corp, &site("internal")).unwrap();
        assert_eq!(internal.sites[0].issuer.as_deref(), Some("internal"));
        let unknown = load(corp, &site("corpse")).unwrap_err().to_string();
        assert!(unknown.contains("write `internal` or `corp`"), "{unknown}");
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
            let error = load_text(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
