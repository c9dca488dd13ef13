//! The CA's directory: a known name or a URL.

use url::Url;

use super::problem::Problem;

pub(super) const LETSENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
pub(super) const LETSENCRYPT_STAGING: &str =
    "https://acme-staging-v02.api.letsencrypt.org/directory";

/// The URL of a directory that is known to be one.
pub(super) fn known(url: &str) -> Url {
    Url::parse(url).expect("the built-in directory URLs are valid")
}

pub(super) fn parse_directory(text: &str) -> Result<Url, Problem> {
    match text {
        "letsencrypt" => return Ok(known(LETSENCRYPT)),
        "letsencrypt-staging" => return Ok(known(LETSENCRYPT_STAGING)),
        "zerossl" | "google" => return Err(Problem::DirectoryNeedsAccount(text.to_owned())),
        _ => {}
    }
    match Url::parse(text) {
        Ok(url) if url.scheme() == "https" => Ok(url),
        Ok(url) if url.scheme() == "http" => Err(Problem::DirectoryScheme(url.scheme().to_owned())),
        _ => Err(Problem::Directory(text.to_owned())),
    }
}

pub(super) fn parse_email(text: &str) -> Result<String, Problem> {
    let is_plain = !text.contains(|c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, ',' | ':' | '?' | '<' | '>')
    });
    match text.split_once('@') {
        Some((user, host))
            if is_plain && !user.is_empty() && !host.is_empty() && !host.contains('@') =>
        {
            Ok(text.to_owned())
        }
        _ => Err(Problem::Email(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_have_names_or_https_urls() {
        assert_eq!(
            parse_directory("letsencrypt").unwrap().as_str(),
            LETSENCRYPT
        );
        assert_eq!(
            parse_directory("letsencrypt-staging").unwrap().as_str(),
            LETSENCRYPT_STAGING
        );
        assert_eq!(
            parse_directory("https://localhost:14000/dir")
                .unwrap()
                .as_str(),
            "https://localhost:14000/dir"
        );
        for (text, part) in [
            ("zerossl", "external account binding"),
            ("http://ca.internal/dir", "https only"),
            ("letsencript", "is no ACME directory"),
            ("ftp://ca/dir", "is no ACME directory"),
            ("localhost:14000/dir", "is no ACME directory"),
        ] {
            let message = parse_directory(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn a_contact_is_one_plain_mail_address() {
        assert!(parse_email("ops@example.org").is_ok());
        for text in [
            "",
            "ops",
            "@example.org",
            "ops@",
            "mailto:ops@example.org",
            "a@b@c",
            "a@b,c@d",
            "Ops <ops@example.org>",
        ] {
            assert!(parse_email(text).is_err(), "{text:?}");
        }
    }
}
