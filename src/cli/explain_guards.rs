//! The guards of a site as `proxy explain` shows them. Hashes of passwords are not shown.

use std::io::{self, Write};

use crate::config::{SiteConfig, format_size};

use super::values::{duration, list, quoted};

/// What stands in the place of a hash. It is no hash, so that the listing lets nobody in.
const HASH: &str = "set, not shown";

pub(super) fn write(site: &SiteConfig, out: &mut dyn Write) -> io::Result<()> {
    let Some(guards) = &site.guards else {
        return Ok(());
    };
    for (key, networks) in [
        ("allow", &guards.networks.allow),
        ("deny", &guards.networks.deny),
    ] {
        if !networks.is_empty() {
            writeln!(out, "{key} = {}", list(networks))?;
        }
    }
    if let Some(basic) = &guards.basic_auth {
        let users: Vec<_> = basic
            .users
            .keys()
            .map(|user| format!("{} = {}", quoted(user), quoted(HASH)))
            .collect();
        writeln!(
            out,
            "basic-auth = {{ users = {{ {} }}, realm = {}, forward = {} }}",
            users.join(", "),
            quoted(&basic.realm),
            basic.forward,
        )?;
    }
    if let Some(forward) = &guards.forward_auth {
        writeln!(
            out,
            "forward-auth = {{ url = {}, copy-headers = {}, timeout = {} }}",
            quoted(&forward.url),
            list(&forward.copy_headers),
            duration(forward.timeout),
        )?;
    }
    write_limits(site, out)?;
    match &guards.hsts {
        None => Ok(()),
        Some(hsts) => writeln!(
            out,
            "hsts = {{ max-age = {}, include-subdomains = {}, preload = {} }}",
            duration(hsts.max_age),
            hsts.include_subdomains,
            hsts.preload,
        ),
    }
}

fn write_limits(site: &SiteConfig, out: &mut dyn Write) -> io::Result<()> {
    let Some(guards) = &site.guards else {
        return Ok(());
    };
    if !guards.rate_limits.is_empty() {
        let rates = guards.rate_limits.iter().map(|rate| {
            format!(
                "{{ requests = {}, per = {}, burst = {}, by = {} }}",
                rate.requests,
                duration(rate.per),
                rate.burst,
                quoted(rate.by),
            )
        });
        let rates: Vec<_> = rates.collect();
        writeln!(out, "rate-limit = [{}]", rates.join(", "))?;
    }
    if let Some(max_body) = guards.max_body {
        let size = usize::try_from(max_body).unwrap_or(usize::MAX);
        writeln!(out, "max-body = {}", quoted(format_size(size)))?;
    }
    let head_size = guards.head_size.map(format_size).map(quoted);
    let head_fields = guards.head_fields.map(|fields| fields.to_string());
    let limits: Vec<_> = [("head-size", head_size), ("head-fields", head_fields)]
        .into_iter()
        .filter_map(|(key, value)| Some(format!("{key} = {}", value?)))
        .collect();
    if !limits.is_empty() {
        writeln!(out, "limits = {{ {} }}", limits.join(", "))?;
    }
    match guards.request_timeout {
        None => Ok(()),
        Some(timeout) => writeln!(out, "request-timeout = {}", duration(timeout)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, Flags, hash_password};

    use super::*;

    fn load(text: &str) -> Result<Config, crate::config::Error> {
        let storage = "storage = \"file:/data\"\n[sites]\n";
        let text = format!("{storage}\"www.example.org\" = {{ upstream = \"3000\"\n{text}\n}}");
        Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default())
    }

    fn written(config: &Config) -> String {
        let mut out = Vec::new();
        write(&config.sites[0], &mut out).unwrap();
        String::from_utf8(out).unwrap().replace('\n', ",\n")
    }

    #[test]
    fn what_is_shown_says_the_same_again() {
        let config = load(
            r#", allow = ["10.0.0.0/8", "::1"], deny = ["10.1.2.3"],
            forward-auth = { url = "http://localhost:9091/verify?a=b", copy-headers = ["Remote-User"], timeout = "3s" },
            rate-limit = [{ requests = 100, per = "1s", burst = 50 }, { requests = 9, per = "1m", by = "site" }],
            max-body = "10m", limits = { head-size = "16k", head-fields = 50 }, request-timeout = "90s",
            hsts = { max-age = "2y", include-subdomains = true, preload = true }"#,
        );
        let config = config.unwrap();
        let again = load(&format!(", {}", written(&config).trim_end_matches(",\n")));
        assert_eq!(again.unwrap().sites, config.sites);
    }

    #[test]
    fn a_site_without_guards_shows_none() {
        assert_eq!(written(&load("").unwrap()), "");
    }

    #[test]
    fn no_hash_is_shown_and_its_place_lets_nobody_in() {
        let hash = hash_password("secret").unwrap();
        let text = format!(", basic-auth = {{ users = {{ anna = \"{hash}\" }}, realm = \"a b\" }}");
        let shown = written(&load(&text).unwrap());
        assert!(shown.contains("anna") && shown.contains("a b"), "{shown}");
        assert!(!shown.contains("argon2"), "{shown}");
        assert!(load(&format!(", {}", shown.trim_end_matches(",\n"))).is_err());
    }
}
