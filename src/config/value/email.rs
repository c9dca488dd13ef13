//! Parses mail addresses.

use crate::config::report::Problem;

/// Accepts a plain address without a display name or `mailto:`.
pub(crate) fn parse_email(text: &str) -> Result<String, Problem> {
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
    fn a_contact_is_a_single_plain_mail_address() {
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
