//! Loading a `Config`, step by step: settings of the file, flags, then sites.

use std::path::Path;

use crate::config::model::{Config, Flags};
use crate::config::read::Proxyfile;
use crate::config::report::{Error, Report};
use crate::config::toml::report_toml_errors;
use crate::config::value::{INTERNAL, StorageUrl};
use crate::upstream::SystemRoots;
use toml::de::DeTable;

use super::command_line_sites;
use super::flag_overrides::apply_flags;

/// The text of a Proxyfile and its path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProxyfileText<'t> {
    pub(crate) path: &'t Path,
    pub(crate) text: &'t str,
    /// True if problems with the files that it names are reported beside its other problems.
    pub(crate) checks_files: bool,
}

impl Config {
    /// Loads the text of a Proxyfile. Flags override its settings, and relative paths in it are relative to its folder.
    /// The error has all problems of the file and the flags.
    pub fn from_proxyfile(path: &Path, text: &str, flags: &Flags) -> Result<Self, Error> {
        let source = ProxyfileText {
            path,
            text,
            checks_files: false,
        };
        Self::load(source, flags, None)
    }

    /// Loads the configuration from flags alone: one site per domain, and the site `*` if an ask endpoint is set.
    pub fn from_quick(flags: &Flags) -> Result<Self, Error> {
        let mut report = Report::new(Path::new(""), "");
        let mut config = Self::from_flags(flags, &mut report);
        config.sites = command_line_sites::read_sites(flags, &config, &mut report);
        finish(config, report)
    }

    /// Loads the settings without sites, for commands that only need the storage.
    pub fn without_sites(flags: &Flags) -> Result<Self, Error> {
        let mut report = Report::new(Path::new(""), "");
        let config = Self::from_flags(flags, &mut report);
        finish(config, report)
    }

    /// Loads a Proxyfile. If the proxy already runs with `running`, a changed setting that needs a restart is a problem.
    pub(crate) fn load(
        source: ProxyfileText<'_>,
        flags: &Flags,
        running: Option<&Self>,
    ) -> Result<Self, Error> {
        let (config, report) = Self::read(source, flags, running);
        finish(config, report)
    }

    /// Reads a Proxyfile as far as it can be read, with all its problems.
    pub(crate) fn read<'t>(
        source: ProxyfileText<'t>,
        flags: &Flags,
        running: Option<&Self>,
    ) -> (Self, Report<'t>) {
        let mut report = Report::new(source.path, source.text);
        let mut config = Self::with_defaults();
        let (document, errors) = DeTable::parse_recoverable(source.text);
        if !report_toml_errors(errors, &mut report) {
            apply_flags(flags, &mut config, &mut report);
            return (config, report);
        }
        let file = Proxyfile::new(&document, source.path);
        let has_storage = file.read_settings(&mut config, &mut report);
        let issuers = config.issuer_names();
        if !apply_flags(flags, &mut config, &mut report) && !has_storage {
            config.use_default_storage(&mut report);
        }
        file.read_sites(&issuers, &mut config, &mut report);
        file.finish(&config, running, &mut report);
        config.file_places = report.files().clone();
        if source.checks_files && !report.is_clean() {
            report.extend(config.file_problems(&SystemRoots::default()));
        }
        (config, report)
    }

    fn from_flags(flags: &Flags, report: &mut Report<'_>) -> Self {
        let mut config = Self::with_defaults();
        if !apply_flags(flags, &mut config, report) {
            config.use_default_storage(report);
        }
        config
    }

    fn use_default_storage(&mut self, report: &mut Report<'_>) {
        if let Some(storage) = StorageUrl::default_storage(report) {
            self.storage = storage;
        }
    }
}

fn finish(mut config: Config, report: Report<'_>) -> Result<Config, Error> {
    if !report.is_clean() {
        return Err(Error::Invalid(report.into_diagnostics()));
    }
    for issuer in &mut config.issuers {
        issuer.email = issuer.email.take().or_else(|| config.email.clone());
    }
    // A directory set by a flag replaces all issuers, also those that sites select.
    let issuers = &config.issuers;
    for site in &mut config.sites {
        let is_known =
            |name: &String| name == INTERNAL || issuers.iter().any(|issuer| issuer.name == *name);
        site.issuer = site.issuer.take().filter(is_known);
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A Proxyfile that names a file in each way there is.
    const NAMES_FILES: &str = r#"
        storage = "file:data"
        on-problem = "file:alert"
        on-cert = "hook"
        dns = { cloudflare = "file:cloudflare" }
        access-log = "access.log"
        error-pages = { 404 = "404.html" }
        [[issuers]]
        directory = "https://ca.test/dir"
        root = "ca.pem"
        eab = { key-id = "k", hmac-key = "file:hmac" }
        [sites."a.test"]
        upstream = "https://a:1"
        balance = "cookie"
        upstream-options = { cookie-key = "file:cookie", tls = { root = "backend-ca.pem", cert = "client.pem", key = "client.key" } }
        basic-auth = { users = { anna = "file:anna" } }
        tls = { cert = "cert.pem", key = "key.pem" }
        client-auth = { ca = "clients.pem" }
        maintenance = "maintenance.html"
        routes = { "/files" = { files = "folder" }, "/api" = { upstream = ":2", request-headers = { set = { X-A = "file:of-route" } } } }
        [sites."a.test".request-headers]
        set = { Authorization = "file:set" }
        add = { X-B = "file:add", X-C = ["file:add-one", "file:add-other"] }
        [sites."*.b.test"]
        upstream = ":3"
        dns = { cloudflare = { token = "file:cloudflare-of-site" } }
        [sites."*.c.test"]
        upstream = ":3"
        dns = { rfc2136 = { server = "ns.test", key-name = "k", key = "file:tsig" } }
        [sites."*.d.test"]
        upstream = ":3"
        dns = { exec = "dns-hook" }
    "#;

    #[test]
    fn every_file_that_a_proxyfile_names_is_one_that_it_is_made_of() {
        // Given the secrets that the Proxyfile names.
        let dir = tempfile::tempdir().unwrap();
        let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for (file, secret) in [
            ("alert", "https://hooks.example.org/T1"),
            ("hmac", "MTIzNDU2Nzg5MDEyMzQ1Ng"),
            ("cloudflare", "token"),
            ("cloudflare-of-site", "token"),
            ("tsig", "MTIzNDU2Nzg5MDEyMzQ1Ng"),
            ("cookie", "0123456789abcdef"),
            ("set", "Bearer 1"),
            ("add", "Bearer 2"),
            ("add-one", "Bearer 3"),
            ("add-other", "Bearer 4"),
            ("of-route", "Bearer 5"),
            ("anna", hash),
        ] {
            std::fs::write(dir.path().join(file), secret).unwrap();
        }
        // When it is read.
        let path = dir.path().join("Proxyfile");
        let config = Config::from_proxyfile(&path, NAMES_FILES, &Flags::default()).unwrap();
        // Then all of them count, and the log, which the proxy writes itself, does not.
        let expected = "404.html add add-one add-other alert anna backend-ca.pem ca.pem cert.pem client.key client.pem \
            clients.pem cloudflare cloudflare-of-site cookie dns-hook folder hmac hook key.pem maintenance.html of-route set tsig";
        let files = config.read_files();
        let names: Vec<_> = files
            .iter()
            .map(|file| file.strip_prefix(dir.path()).unwrap().to_owned())
            .collect();
        let expected: Vec<_> = expected.split_whitespace().map(PathBuf::from).collect();
        assert_eq!(names, expected);
    }
}
