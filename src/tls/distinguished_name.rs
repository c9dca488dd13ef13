//! The subject of a certificate as one unambiguous line (RFC 4514).

use std::fmt::Write;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Attribute types and their short names.
const NAMES: [(&str, &str); 10] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// Formats a name in visible ASCII, most specific part first.
pub(super) fn write(name: &X509Name<'_>) -> String {
    let mut parts: Vec<_> = name
        .iter_rdn()
        .map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let id = attribute.attr_type().to_id_string();
    let name = NAMES.iter().find(|(known, _)| *known == id);
    match (name, attribute.as_str()) {
        (Some((_, name)), Ok(text)) => format!("{name}={}", escaped(text)),
        // A value that is not text is written as hexadecimal bytes.
        _ => format!("{id}=#{}", hexadecimal(attribute.as_slice())),
    }
}

/// Escapes all characters of a value that have a meaning in the syntax or are not visible ASCII.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for (index, byte) in value.bytes().enumerate() {
        let is_edge = index == 0 || index + 1 == value.len();
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b'=' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' ' if is_edge => text.push_str("\\ "),
            b'#' if index == 0 => text.push_str("\\#"),
            b' '..=b'~' => text.push(char::from(byte)),
            byte => write!(text, "\\{byte:02X}").expect("a string takes all that is written to it"),
        }
    }
    text
}

/// Formats bytes as pairs of hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes all that is written to it");
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn subject(parts: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
        write(parsed.subject())
    }

    #[test]
    fn the_most_specific_part_comes_first() {
        let parts = [
            (DnType::CountryName, "SE"),
            (DnType::OrganizationName, "Example AB"),
            (DnType::CommonName, "alice"),
        ];
        assert_eq!(subject(&parts), "CN=alice,O=Example AB,C=SE");
    }

    #[test]
    fn a_value_cannot_pass_for_more_than_itself() {
        for (value, written) in [
            ("eve,O=admins", "CN=eve\\,O\\=admins"),
            (" eve ", "CN=\\ eve\\ "),
            ("#eve+\"x\"", "CN=\\#eve\\+\\\"x\\\""),
            ("ev\u{e9}\r\nX: y", "CN=ev\\C3\\A9\\0D\\0AX: y"),
            ("a\\", "CN=a\\\\"),
        ] {
            assert_eq!(subject(&[(DnType::CommonName, value)]), written);
        }
    }

    #[test]
    fn an_attribute_without_a_short_name_is_told_in_bytes() {
        let kind = DnType::CustomDnType(vec![2, 5, 4, 42]);
        let written = subject(&[(kind, "a")]);
        assert!(written.starts_with("2.5.4.42=#"), "{written}");
    }
}
