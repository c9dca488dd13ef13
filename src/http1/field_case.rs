//! Case of the names of the fields that are written.

/// Case of the names of the fields that are written. Readers must ignore it (RFC 9110 section 5.1); some old ones do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldCase {
    /// Lower case, as in `content-type`.
    #[default]
    Lower,
    /// A capital at the start of each word, as in `Content-Type`.
    Title,
}

impl FieldCase {
    /// Appends a name that is in lower case to `out`.
    pub(super) fn write(self, name: &str, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(name.as_bytes());
        if self == Self::Title {
            let mut is_start = true;
            for byte in &mut out[start..] {
                if is_start {
                    byte.make_ascii_uppercase();
                }
                is_start = *byte == b'-';
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_gets_a_capital_in_title_case_only() {
        for (case, name, written) in [
            (FieldCase::Lower, "x-api-key", "x-api-key"),
            (FieldCase::Title, "x-api-key", "X-Api-Key"),
            (FieldCase::Title, "te", "Te"),
            (FieldCase::Title, "-a--b", "-A--B"),
        ] {
            let mut out = b"earlier".to_vec();
            case.write(name, &mut out);
            assert_eq!(out, [b"earlier", written.as_bytes()].concat());
        }
    }
}
