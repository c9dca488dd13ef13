//! Name of a user of this machine.

use crate::config::report::Problem;

/// Accepts what `useradd` accepts, and not much more: the system finds out whether there is such a user.
pub(crate) fn parse_user(text: &str) -> Result<String, Problem> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.is_empty() || text.starts_with('-') || !text.chars().all(is_plain) {
        return Err(Problem::User(text.to_owned()));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_plain_name() {
        assert_eq!(parse_user("www-data").unwrap(), "www-data");
        for text in ["", "-x", "a b", "proxy:proxy", "../x"] {
            let problem = parse_user(text).unwrap_err().to_string();
            assert!(problem.contains("is not a valid user name"), "{problem}");
        }
    }
}
