//! The configuration of a rehearsal: each CA is replaced by its staging CA.

use url::Url;

use crate::admin::RehearsalCa;
use crate::certs::IssuerOptions;
use crate::certs::issuer::{is_public_production, staging_of};
use crate::config::{CertificateSource, Config, SiteConfig};

/// The fix for a CA that has no staging directory, or one that is not known.
const NO_STAGING: &str = "the URL of a staging directory, such as that of Let's Encrypt";

/// Reason why a directory cannot be used for a rehearsal.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("`{0}` is not the https URL of an ACME directory; give the URL of a staging directory")]
    Url(String),
    #[error(
        "{directory} is a CA of the configuration itself, whose limits a rehearsal would use up; give {fix}"
    )]
    Configured { directory: Url, fix: String },
    #[error(
        "{directory} is a public CA for production, whose limits a rehearsal would use up; give {fix}"
    )]
    Production { directory: Url, fix: String },
}

/// Returns `config` with its staging CAs alone, or with the given one in the place of each CA. CAs without a staging directory
/// are left out.
pub(super) fn staged(config: &Config, given: Option<&RehearsalCa>) -> Result<Config, Error> {
    let given = given.map(|ca| directory(config, ca)).transpose()?;
    let mut staged = config.clone();
    let issuers = config.issuers.iter();
    staged.issuers = issuers.filter_map(|it| twin(it, given.as_ref())).collect();
    for site in &mut staged.sites {
        let names = site.issuer.as_mut();
        if let Some(name) = names.filter(|name| config.issuers.iter().any(|it| it.name == **name)) {
            *name = staging_name(name);
        }
    }
    staged.on_cert = None;
    Ok(staged)
}

/// `true` if the names of the site can be rehearsed at the CAs of `staged`.
pub(super) fn has_staging(site: &SiteConfig, staged: &Config) -> bool {
    match &site.issuer {
        Some(name) => {
            let name = staging_name(name);
            staged.issuers.iter().any(|issuer| issuer.name == name)
        }
        None => !staged.issuers.is_empty(),
    }
}

/// Returns why no certificate is ordered for a name, if none is.
pub(super) fn not_ordered(source: CertificateSource) -> Option<&'static str> {
    match source {
        CertificateSource::None => Some("nothing to order: the site is served over plain HTTP"),
        CertificateSource::Files => {
            Some("nothing to order: the site has certificate files of its own")
        }
        CertificateSource::InternalCa => Some("nothing to order: the internal CA signs for it"),
        CertificateSource::OnDemand => Some(
            "its names are ordered at their first handshake; name one to rehearse it, as in `proxy rehearse www.example.org`",
        ),
        CertificateSource::Issuer => None,
    }
}

/// A directory for the rehearsal, with its root if one was given.
struct Given<'a> {
    directory: Url,
    ca: &'a RehearsalCa,
}

fn directory<'a>(config: &Config, ca: &'a RehearsalCa) -> Result<Given<'a>, Error> {
    let parsed = Url::parse(&ca.directory).ok();
    let directory = parsed.filter(|url| url.scheme() == "https");
    let directory = directory.ok_or_else(|| Error::Url(ca.directory.clone()))?;
    if config
        .issuers
        .iter()
        .any(|issuer| issuer.directory == directory)
    {
        let fix = fix(&directory, "the URL of its staging directory");
        return Err(Error::Configured { directory, fix });
    }
    if is_public_production(&directory) {
        let fix = fix(&directory, NO_STAGING);
        return Err(Error::Production { directory, fix });
    }
    Ok(Given { directory, ca })
}

/// Names the directory to give instead, or says what it is if it is not known.
fn fix(directory: &Url, unknown: &str) -> String {
    match staging_of(directory) {
        Some(staging) => format!("its staging directory, {staging}"),
        None => unknown.to_owned(),
    }
}

fn twin(issuer: &IssuerOptions, given: Option<&Given<'_>>) -> Option<IssuerOptions> {
    let (directory, root) = match given {
        Some(given) => (Some(&given.directory), given.ca.root.as_ref()),
        None => (issuer.staging.as_ref(), None),
    };
    Some(IssuerOptions {
        name: staging_name(&issuer.name),
        directory: directory?.clone(),
        root: root.or(issuer.root.as_ref()).cloned(),
        staging: None,
        // A staging CA has its own accounts and chains.
        external_account: None,
        preferred_chain: None,
        profile: issuer.profile.clone().filter(|_| given.is_none()),
        ..issuer.clone()
    })
}

fn staging_name(name: &str) -> String {
    format!("{name}-staging")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Flags;

    fn config(text: &str) -> Config {
        let text = format!(
            "storage = \"file:/data\"\n{text}\n[sites]\n\"www.example.org\" = \":1\"\n\"own.example.org\" = {{ upstream = \":1\", issuer = \"own\" }}\n"
        );
        Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default()).unwrap()
    }

    const CAS: &str = "[[issuers]]\ndirectory = \"letsencrypt\"\n[[issuers]]\nname = \"own\"\ndirectory = \"https://ca.test/dir\"\n";

    fn ca(directory: &str) -> RehearsalCa {
        RehearsalCa {
            directory: directory.to_owned(),
            root: None,
        }
    }

    #[test]
    fn each_ca_is_replaced_by_its_staging_directory() {
        let config = config(CAS);
        let staged = staged(&config, None).unwrap();
        let issuers: Vec<_> = staged
            .issuers
            .iter()
            .map(|it| (it.name.as_str(), it.directory.as_str()))
            .collect();
        assert_eq!(
            issuers,
            [(
                "letsencrypt-staging",
                "https://acme-staging-v02.api.letsencrypt.org/directory"
            )]
        );
        let [www, own] = &config.sites[..] else {
            panic!("{:?}", config.sites)
        };
        assert!(has_staging(www, &staged) && !has_staging(own, &staged));
    }

    #[test]
    fn a_given_directory_replaces_all_unless_it_is_that_of_the_configuration() {
        let config = config(CAS);
        let other = staged(&config, Some(&ca("https://other.test/dir"))).unwrap();
        assert!(
            other
                .issuers
                .iter()
                .all(|it| it.directory.as_str() == "https://other.test/dir")
        );
        assert!(config.sites.iter().all(|site| has_staging(site, &other)));
        for (directory, part) in [
            (
                "https://ca.test/dir",
                "whose limits a rehearsal would use up",
            ),
            (
                "https://acme-v02.api.letsencrypt.org/directory",
                "is a CA of the configuration itself, whose limits a rehearsal would use up; give its staging directory, https://acme-staging-v02.api.letsencrypt.org/directory",
            ),
            (
                "https://dv.acme-v02.api.pki.goog/directory",
                "use up; give its staging directory, https://dv.acme-v02.test-api.pki.goog/directory",
            ),
            (
                "https://acme-api.actalis.com/acme/directory",
                "is a public CA for production, whose limits a rehearsal would use up; give the URL of a staging directory,",
            ),
            ("http://other.test/dir", "is not the https URL"),
            ("staging", "is not the https URL"),
        ] {
            let error = staged(&config, Some(&ca(directory)))
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
