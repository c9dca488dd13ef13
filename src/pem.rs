//! Reads PEM files as people and other programs write them: with text around the blocks, with a byte order mark, with any
//! line ends, and with one block right after another.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// Number of base64 characters in a line that is written.
const LINE: usize = 64;

/// Accepts missing padding, which some programs leave out.
const DECODER: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reason why a file has no usable certificate or key. Never quotes the file, which may be a private key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The text has no certificate.
    #[error("there is no certificate in it; it must hold PEM blocks `BEGIN CERTIFICATE`")]
    NoCertificate,
    /// The text has no private key.
    #[error("there is no private key in it; it must hold a PEM block `BEGIN PRIVATE KEY`")]
    NoKey,
    /// The private key is encrypted.
    #[error("its private key is encrypted; decrypt it with `openssl pkey -in FILE -out NEW-FILE`")]
    Encrypted,
    /// The private key is one of OpenSSH.
    #[error("its private key is in OpenSSH's form; convert it with `ssh-keygen -p -m PEM -f FILE`")]
    OpenSsh,
    /// The certificate has the trust settings of OpenSSL.
    #[error(
        "its certificate is in OpenSSL's form `TRUSTED CERTIFICATE`; convert it with `openssl x509 -in FILE -out NEW-FILE`"
    )]
    Trusted,
    /// The certificates are in a PKCS#7 structure.
    #[error(
        "its certificates are in PKCS#7; convert them with `openssl pkcs7 -in FILE -print_certs -out NEW-FILE`"
    )]
    Pkcs7,
    /// The file is PKCS#12.
    #[error(
        "it is PKCS#12, not PEM; convert it with `openssl pkcs12 -in FILE -nodes -out NEW-FILE`"
    )]
    Pkcs12,
    /// The file is DER.
    #[error(
        "it is DER, not PEM; convert a certificate with `openssl x509 -inform der -in FILE -out NEW-FILE`, a key with `openssl pkey -inform der -in FILE -out NEW-FILE`"
    )]
    Der,
    /// A block has no end, or its content is not base64.
    #[error("its block `{0}` is damaged; it must be base64 from `BEGIN` to `END`")]
    Damaged(&'static str),
}

impl Error {
    /// `true` if the text is not PEM, or its certificates are packed in another structure.
    #[must_use]
    pub fn is_of_other_format(&self) -> bool {
        matches!(self, Self::Trusted | Self::Pkcs7 | Self::Pkcs12 | Self::Der)
    }
}

/// Reads all certificates of a text, in their order. One that is damaged is an error.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    match readable_certificates(text)? {
        (found, 0) => Ok(found),
        _ => Err(Error::Damaged("CERTIFICATE")),
    }
}

/// Reads the certificates of a text that are not damaged, in their order, and the number of those that are. Returns an error
/// if there is none.
pub fn readable_certificates(text: &[u8]) -> Result<(Vec<CertificateDer<'static>>, usize), Error> {
    let text = &*decoded(text);
    let (mut found, mut damaged) = (Vec::new(), 0);
    let mut other = None;
    for block in blocks(text) {
        match block.label {
            b"CERTIFICATE" | b"X509 CERTIFICATE" => match block.der() {
                Some(der) => found.push(CertificateDer::from(der)),
                None => damaged += 1,
            },
            b"TRUSTED CERTIFICATE" => other = Some(Error::Trusted),
            b"PKCS7" | b"CMS" => other = Some(Error::Pkcs7),
            _ => {}
        }
    }
    if !found.is_empty() {
        return Ok((found, damaged));
    }
    Err(if damaged > 0 {
        Error::Damaged("CERTIFICATE")
    } else {
        other
            .or_else(|| binary(text))
            .unwrap_or(Error::NoCertificate)
    })
}

/// Reads all private keys of a text, in their order.
pub fn private_keys(text: &[u8]) -> Result<Vec<PrivateKeyDer<'static>>, Error> {
    let text = &*decoded(text);
    let mut found = Vec::new();
    let mut other = None;
    for block in blocks(text) {
        let key: fn(Vec<u8>) -> PrivateKeyDer<'static> = match block.label {
            b"ENCRYPTED PRIVATE KEY" => {
                other = Some(Error::Encrypted);
                continue;
            }
            b"OPENSSH PRIVATE KEY" => {
                other = Some(Error::OpenSsh);
                continue;
            }
            b"PRIVATE KEY" => |der| PrivateKeyDer::Pkcs8(der.into()),
            b"RSA PRIVATE KEY" => |der| PrivateKeyDer::Pkcs1(der.into()),
            b"EC PRIVATE KEY" => |der| PrivateKeyDer::Sec1(der.into()),
            _ => continue,
        };
        if block.is_encrypted() {
            other = Some(Error::Encrypted);
            continue;
        }
        found.push(key(block.der().ok_or(Error::Damaged("PRIVATE KEY"))?));
    }
    match found {
        found if found.is_empty() => Err(other.or_else(|| binary(text)).unwrap_or(Error::NoKey)),
        found => Ok(found),
    }
}

/// Reads the first private key of a text.
pub fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    private_keys(text)?.into_iter().next().ok_or(Error::NoKey)
}

/// Reads all certificates of a file. Blocks.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    certificates(&std::fs::read(path)?)
}

/// Reads the first private key of a file. Blocks.
pub fn read_private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    private_key(&std::fs::read(path)?)
}

/// Writes certificates as PEM.
#[must_use]
pub fn write_certificates(certificates: &[CertificateDer<'_>]) -> String {
    let blocks = certificates.iter();
    blocks.map(|der| write("CERTIFICATE", der)).collect()
}

/// Writes a private key as PEM.
#[must_use]
pub fn write_private_key(key: &PrivateKeyDer<'_>) -> String {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    write(label, key.secret_der())
}

fn write(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = next;
    }
    text + &format!("-----END {label}-----\n")
}

/// One block between its two markers.
struct Block<'a> {
    label: &'a [u8],
    /// Headers and base64; `None` if the block has no end.
    body: Option<&'a [u8]>,
}

impl Block<'_> {
    /// Decodes the content; `None` if it is damaged.
    fn der(&self) -> Option<Vec<u8>> {
        let is_text = |byte: &&u8| !byte.is_ascii_whitespace();
        let encoded: Vec<u8> = self.body?.iter().filter(is_text).copied().collect();
        let der = DECODER.decode(encoded).ok()?;
        (!der.is_empty()).then_some(der)
    }

    /// Whether the headers of RFC 1421 say that the content is encrypted.
    fn is_encrypted(&self) -> bool {
        self.body
            .is_some_and(|body| find(body, b"ENCRYPTED").is_some())
    }
}

/// Finds all blocks. Looks at each byte only a few times, also in a text with many blocks that have no end.
fn blocks(text: &[u8]) -> impl Iterator<Item = Block<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = find(rest, BEGIN)? + BEGIN.len();
        let line = &rest[start..];
        let length = find(line, DASHES)?;
        let label = &line[..length];
        let after = &line[length + DASHES.len()..];
        // A block that begins before this one has ended shows that the end is missing.
        let next = find_marker(after).unwrap_or(after.len());
        rest = &after[next..];
        let body = rest.starts_with(END).then(|| &after[..next]);
        Some(Block { label, body })
    })
}

/// Returns the position of the next begin or end of a block.
fn find_marker(text: &[u8]) -> Option<usize> {
    (0..text.len()).find(|start| {
        let here = &text[*start..];
        here.starts_with(BEGIN) || here.starts_with(END)
    })
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Converts UTF-16, which some editors write, to bytes. Characters outside of ASCII only stand around the blocks.
fn decoded(text: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let join: fn([u8; 2]) -> u16 = match text {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return text.into(),
    };
    let units = text.chunks_exact(2).map(|pair| join([pair[0], pair[1]]));
    units
        .map(|unit| u8::try_from(unit).unwrap_or(b'?'))
        .collect::<Vec<_>>()
        .into()
}

/// Recognizes a binary file.
fn binary(text: &[u8]) -> Option<Error> {
    // A PKCS#12 file is a sequence that begins with version 3 and another sequence.
    const VERSION: [u8; 4] = [0x02, 0x01, 0x03, 0x30];
    match text {
        [0x30, 0x82, _, _, rest @ ..] | [0x30, 0x81, _, rest @ ..] | [0x30, 0x80, rest @ ..] => {
            Some(if rest.starts_with(&VERSION) {
                Error::Pkcs12
            } else {
                Error::Der
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----";
    const TWO: &str = "-----BEGIN X509 CERTIFICATE-----\nBAUG\n-----END X509 CERTIFICATE-----";

    fn read(text: &[u8]) -> Vec<Vec<u8>> {
        let found = certificates(text).unwrap();
        found.iter().map(|der| der.to_vec()).collect()
    }

    #[test]
    fn blocks_are_found_however_they_are_written() {
        let both = [vec![1, 2, 3], vec![4, 5, 6]];
        let latin1 = [
            b"\xc9metteur: \xe9\n".as_slice(),
            ONE.as_bytes(),
            b"\n\xfc\n",
            TWO.as_bytes(),
        ];
        let utf16 = |text: &str| -> Vec<u8> {
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            units.flat_map(u16::to_le_bytes).collect()
        };
        for text in [
            format!("{ONE}\n{TWO}\n").into_bytes(),
            format!("{ONE}{TWO}").into_bytes(),
            format!("\u{feff}{ONE}\n\n{TWO}").into_bytes(),
            format!("{ONE}\n{TWO}\n").replace('\n', "\r\n").into_bytes(),
            format!("{ONE}\n{TWO}\n").replace('\n', "\r").into_bytes(),
            format!("subject=CN=a\n {ONE} \n---\n{TWO}\nend").into_bytes(),
            format!("{ONE}\n{TWO}\n")
                .replace("AQID", "  AQ\n ID \n")
                .into_bytes(),
            latin1.concat(),
            utf16(&format!("é{ONE}\r\n{TWO}")),
        ] {
            assert_eq!(read(&text), both, "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn a_text_without_the_wanted_block_is_refused_by_what_it_is() {
        let block = |label: &str| format!("-----BEGIN {label}-----\nAQID\n-----END {label}-----\n");
        let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAQID\n-----END RSA PRIVATE KEY-----\n";
        for (text, part) in [
            (block("ENCRYPTED PRIVATE KEY"), "encrypted; decrypt it with"),
            (legacy.to_owned(), "encrypted; decrypt it with"),
            (block("OPENSSH PRIVATE KEY"), "ssh-keygen"),
            (block("EC PARAMETERS"), "no private key"),
            (block("PRIVATE KEY").replace("AQID", "A!"), "is damaged"),
            ("\u{30}\u{82}".to_owned(), "no private key"),
        ] {
            let error = private_keys(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        for (text, part) in [
            (block("TRUSTED CERTIFICATE").into_bytes(), "openssl x509"),
            (block("PKCS7").into_bytes(), "openssl pkcs7"),
            (
                b"\x30\x82\x01\x00\x02\x01\x03\x30\x00".to_vec(),
                "openssl pkcs12",
            ),
            (b"\x30\x82\x01\x00\x30\x82".to_vec(), "it is DER"),
            (block("PRIVATE KEY").into_bytes(), "no certificate"),
            (ONE.as_bytes()[..40].to_vec(), "is damaged"),
            (format!("{}\n{ONE}", &ONE[..30]).into_bytes(), "is damaged"),
            (Vec::new(), "no certificate"),
        ] {
            let error = certificates(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn what_is_readable_beside_a_damaged_block_is_found() {
        let text = format!("{}\n{ONE}\n{}\n{TWO}", &TWO[..40], ONE.replace("AQ", "!"));
        let (found, damaged) = readable_certificates(text.as_bytes()).unwrap();
        assert_eq!((found.len(), damaged), (2, 2));
        assert!(certificates(text.as_bytes()).is_err());
        assert!(readable_certificates(&ONE.as_bytes()[..40]).is_err());
    }

    #[test]
    fn many_blocks_without_an_end_are_read_in_one_pass() {
        let begin = "-----BEGIN X-----\n".repeat(100_000);
        let text = format!("{begin}{ONE}\n{begin}{TWO}\n{begin}");
        let start = std::time::SystemTime::now();
        assert_eq!(read(text.as_bytes()).len(), 2);
        let took = start.elapsed().unwrap_or_default();
        assert!(took < std::time::Duration::from_secs(20), "{took:?}");
        assert_eq!(blocks(text.as_bytes()).count(), 300_002);
    }

    #[test]
    fn an_encrypted_key_beside_a_plain_one_is_passed_over() {
        let text = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n-----BEGIN EC PRIVATE KEY-----\nAQID\n-----END EC PRIVATE KEY-----";
        let key = private_key(text.as_bytes()).unwrap();
        assert!(matches!(&key, PrivateKeyDer::Sec1(der) if der.secret_sec1_der() == [1, 2, 3]));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let der = CertificateDer::from(vec![7; 100]);
        let text = write_certificates(&[der.clone(), der.clone()]);
        assert!(text.lines().all(|line| line.len() <= LINE), "{text}");
        assert_eq!(certificates(text.as_bytes()).unwrap(), [der.clone(), der]);
        let key = PrivateKeyDer::Pkcs1(vec![9; 48].into());
        assert_eq!(
            private_key(write_private_key(&key).as_bytes()).unwrap(),
            key
        );
    }
}
