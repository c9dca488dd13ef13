//! Finds names that none of their issuers can sign, because public CAs cannot.

use crate::certs::Unsignable;
use crate::config::model::{CertificateSource, Config, SiteConfig};
use crate::name::HostPattern;

impl Config {
    /// Returns a reason for each name that only public CAs are to sign, and none can. Such a configuration is valid all the same:
    /// the name may be planned, and what is a top-level domain can change.
    #[must_use]
    pub fn unsignable_names(&self) -> Vec<Unsignable> {
        let names = |site| SiteConfig::patterns(site).map(move |name| (site, name));
        let names = self.sites.iter().flat_map(names);
        names
            .filter_map(|(site, name)| self.unsignable(site, name))
            .collect()
    }

    fn unsignable(&self, site: &SiteConfig, name: &HostPattern) -> Option<Unsignable> {
        let source = site.certificate_source_of(name, self.local_names());
        if source != CertificateSource::Issuer || *name == HostPattern::Any {
            return None;
        }
        let is_asked = |issuer: &String| site.issuer.as_ref().is_none_or(|only| only == issuer);
        let mut issuers = self.issuers.iter();
        let has_private = issuers.any(|issuer| is_asked(&issuer.name) && issuer.is_private());
        Unsignable::find(name).filter(|_| !has_private)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, Flags};

    const PRIVATE: &str =
        "[[issuers]]\ndirectory = \"https://ca.internal/acme/directory\"\nname = \"own\"\n";
    const PUBLIC: &str = "[[issuers]]\ndirectory = \"letsencrypt\"\n";

    /// Returns what is said about a site, given as its name and the keys beside its upstream.
    fn told(issuers: &str, name: &str, keys: &str) -> Vec<String> {
        let site = format!("\"{name}\" = {{ upstream = \"3000\"{keys} }}");
        let text = format!("storage = \"file:/data\"\n{issuers}[sites]\n{site}\n");
        let config = Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default());
        let names = config.unwrap().unsignable_names();
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_that_no_public_ca_signs_is_told() {
        let both = format!("{PUBLIC}{PRIVATE}");
        let underscore = ", aliases = [\"my_app.example.org\"]";
        let selected = ", issuer = \"letsencrypt\"";
        for (issuers, name, keys, part) in [
            ("", "nas.lan", "", "no public CA can sign nas.lan, "),
            (PUBLIC, "intranet", "", "which has no dot"),
            (
                "",
                "app.exampel",
                "",
                "there is no top-level domain .exampel",
            ),
            ("", "a.example.org", underscore, "it has an underscore"),
            (&both, "nas.lan", selected, "no public CA can sign nas.lan"),
        ] {
            let told = told(issuers, name, keys);
            assert!(told.len() == 1 && told[0].contains(part), "{told:?}");
        }
    }

    #[test]
    fn a_name_that_a_ca_of_ones_own_or_nobody_signs_is_not_told() {
        let both = format!("{PUBLIC}{PRIVATE}");
        let on_demand = ", on-demand = \"http://localhost:4000/ask\"";
        let files = ", tls = { cert = \"c.pem\", key = \"k.pem\" }";
        for (issuers, name, keys) in [
            ("", "nas.lan", ", issuer = \"internal\""),
            ("", "nas.lan", ", http = \"serve\""),
            ("", "nas.lan", files),
            ("", "nas.home.arpa", ""),
            ("", "www.example.org", ""),
            ("", "*", on_demand),
            (PRIVATE, "nas.lan", ""),
            (&both, "nas.lan", ""),
            (&both, "nas.lan", ", issuer = \"own\""),
        ] {
            let told = told(issuers, name, keys);
            assert!(told.is_empty(), "{name}{keys}: {told:?}");
        }
    }
}
