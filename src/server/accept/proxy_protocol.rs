//! The PROXY protocol on a listener: trusted peers name the client of a connection before its first byte.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use proxy_header::ParseConfig;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::TcpStream;

use crate::proxy::Reason;
use crate::uninterrupted::{Uninterrupted, peek};

/// Start of a version 1 header.
const TEXT: &[u8] = b"PROXY ";
/// Start of a version 2 header.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest header of version 1, with its line end.
const LONGEST_TEXT: usize = 107;
/// Length of a version 2 header before its addresses, the index of the byte with the command, and the command LOCAL in its
/// low four bits.
const BINARY_START: usize = 16;
const COMMAND: usize = 12;
const LOCAL: u8 = 0;
/// Longest part of version 2 after that: addresses, and extensions that are ignored.
const LONGEST_REST: usize = 4096;
/// Interval of the polls for the rest of a header's start. The bytes that are only peeked at keep the socket readable, so the
/// kernel does not wake the task for more.
const PEEK_INTERVAL: Duration = Duration::from_millis(5);

/// Whether trusted peers begin their connections with a PROXY header. Headers of other peers are never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// All trusted peers do, and other peers are refused.
    Required,
    /// Trusted peers may.
    Optional,
}

/// The content of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProxyHeader {
    /// The connection is of the peer itself, as in a health check.
    Local,
    /// The connection is of a client whose address the peer does not know.
    Unknown,
    /// The connection is of the client at `source`, which connected to `destination`.
    Client {
        source: SocketAddr,
        destination: SocketAddr,
    },
}

/// Reasons to refuse a connection before its first byte.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyProtocolError {
    #[error("the peer is not trusted, and this listener accepts only trusted peers")]
    Untrusted,
    #[error("the PROXY header could not be read: {0}")]
    Read(#[from] io::Error),
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    #[error("the PROXY header is too long")]
    TooLong,
    #[error("the PROXY header is malformed: {0}")]
    Malformed(#[from] proxy_header::Error),
    #[error("the PROXY header is for datagrams")]
    Datagram,
}

impl ProxyProtocolError {
    /// Returns the reason under which the refusal is counted.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Untrusted => Reason::UntrustedPeer,
            Self::Read(_) => Reason::ProxyHeaderCut,
            Self::Missing => Reason::ProxyHeaderMissing,
            Self::TooLong | Self::Malformed(_) | Self::Datagram => Reason::ProxyHeaderMalformed,
        }
    }
}

/// Reads the header at the start of a connection, and not a byte more. Returns `None` where an optional header is absent.
pub(super) async fn read(
    stream: &mut TcpStream,
    mode: ProxyProtocol,
) -> Result<Option<ProxyHeader>, ProxyProtocolError> {
    match (beginning(stream).await?, mode) {
        (Beginning::Text, _) => read_text(stream).await.map(Some),
        (Beginning::Binary, _) => read_binary(stream).await.map(Some),
        (Beginning::Other, ProxyProtocol::Optional) => Ok(None),
        (Beginning::Other, ProxyProtocol::Required) => Err(ProxyProtocolError::Missing),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    Text,
    Binary,
    Other,
}

async fn beginning(stream: &TcpStream) -> io::Result<Beginning> {
    let mut bytes = [0; BINARY.len()];
    loop {
        let seen = peek(stream, &mut bytes).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let seen = &bytes[..seen];
        if seen.starts_with(TEXT) {
            return Ok(Beginning::Text);
        }
        if seen == BINARY {
            return Ok(Beginning::Binary);
        }
        if !TEXT.starts_with(seen) && !BINARY.starts_with(seen) {
            return Ok(Beginning::Other);
        }
        if stream.ready(Interest::READABLE).await?.is_read_closed() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        tokio::time::sleep(PEEK_INTERVAL).await;
    }
}

/// Consumes only bytes that belong to the line: all that have arrived while they have no line end, else those up to it.
async fn read_text(stream: &mut TcpStream) -> Result<ProxyHeader, ProxyProtocolError> {
    let mut line = [0; LONGEST_TEXT];
    let mut filled = 0;
    loop {
        let ahead = peek(stream, &mut line[filled..]).await?;
        let end = line[filled..filled + ahead]
            .iter()
            .position(|byte| *byte == b'\n');
        let taken = filled + end.map_or(ahead, |end| end + 1);
        if taken == filled {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Uninterrupted::new(&mut *stream)
            .read_exact(&mut line[filled..taken])
            .await?;
        filled = taken;
        if end.is_some() {
            return parse(&line[..filled]);
        }
        if filled == LONGEST_TEXT {
            return Err(ProxyProtocolError::TooLong);
        }
    }
}

async fn read_binary(stream: &mut TcpStream) -> Result<ProxyHeader, ProxyProtocolError> {
    let mut stream = Uninterrupted::new(stream);
    let mut header = vec![0; BINARY_START];
    stream.read_exact(&mut header).await?;
    let rest = usize::from(u16::from_be_bytes([
        header[BINARY_START - 2],
        header[BINARY_START - 1],
    ]));
    if rest > LONGEST_REST {
        return Err(ProxyProtocolError::TooLong);
    }
    header.resize(BINARY_START + rest, 0);
    stream.read_exact(&mut header[BINARY_START..]).await?;
    parse(&header)
}

/// Parses a complete header.
fn parse(header: &[u8]) -> Result<ProxyHeader, ProxyProtocolError> {
    let options = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    let (parsed, len) = proxy_header::ProxyHeader::parse(header, options)?;
    if len != header.len() {
        return Err(proxy_header::Error::Invalid.into());
    }
    match parsed.proxied_address() {
        Some(address) if address.protocol == proxy_header::Protocol::Datagram => {
            Err(ProxyProtocolError::Datagram)
        }
        Some(address) => Ok(ProxyHeader::Client {
            source: canonical(address.source),
            destination: canonical(address.destination),
        }),
        None if header.starts_with(BINARY) && header[COMMAND] & 0xf == LOCAL => {
            Ok(ProxyHeader::Local)
        }
        None => Ok(ProxyHeader::Unknown),
    }
}

/// Turns an IPv4-mapped IPv6 address into its IPv4 form.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// Returns the result for a connection with these bytes, sent piece by piece, and the bytes that are left.
    async fn outcome(pieces: &[&[u8]], mode: ProxyProtocol) -> (String, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address);
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (mut client, mut stream) = (client.unwrap(), accepted.unwrap().0);
        client.set_nodelay(true).unwrap();
        let send = async move {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
            client
        };
        let (_client, said) = tokio::join!(send, read(&mut stream, mode));
        let said = match said {
            Ok(said) => format!("{said:?}"),
            Err(error) => error.to_string(),
        };
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        (said, rest)
    }

    fn binary(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let len = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [BINARY, &[0x20 | command, family], &len, addresses].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x9c, 0x40, 1, 187];

    fn client(source: &str, destination: &str) -> String {
        let said = Some(ProxyHeader::Client {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        });
        format!("{said:?}")
    }

    #[tokio::test]
    async fn both_versions_are_read_to_their_last_byte_and_no_further() {
        let v6 = [[0; 10].as_slice(), &[0xff, 0xff, 192, 0, 2, 7]].concat();
        let mut v6 = [v6.as_slice(), &[0xfd; 16], &[0x9c, 0x40, 1, 187]].concat();
        v6.extend_from_slice(&[4, 0, 3, 1, 2, 3]);
        let fd = "[fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd]:443";
        let local = format!("{:?}", Some(ProxyHeader::Local));
        let unknown = format!("{:?}", Some(ProxyHeader::Unknown));
        for (header, expected) in [
            (
                b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\n".to_vec(),
                client("192.0.2.7:40000", "10.0.0.1:443"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 40000 443\r\n".to_vec(),
                client("[2001:db8::7]:40000", "[::1]:443"),
            ),
            (b"PROXY UNKNOWN a b c d\r\n".to_vec(), unknown.clone()),
            (
                binary(1, 0x11, &V4),
                client("192.0.2.7:40000", "10.0.0.1:443"),
            ),
            (binary(1, 0x21, &v6), client("192.0.2.7:40000", fd)),
            (binary(0, 0x11, &V4), local.clone()),
            (binary(0, 0, &[]), local),
            (binary(1, 0, &[]), unknown.clone()),
            (binary(1, 0x31, &[0; 216]), unknown),
        ] {
            let pieces: Vec<_> = header.chunks(1).chain([b"\x16rest".as_slice()]).collect();
            for mode in [ProxyProtocol::Required, ProxyProtocol::Optional] {
                let whole = [&header, b"\x16rest".as_slice()];
                for pieces in [whole.as_slice(), &pieces] {
                    let (said, rest) = outcome(pieces, mode).await;
                    assert_eq!(
                        (said.as_str(), rest.as_slice()),
                        (expected.as_str(), b"\x16rest".as_slice())
                    );
                }
            }
        }
    }

    #[tokio::test]
    async fn bytes_without_a_header_are_left_unread_where_it_is_optional() {
        for bytes in [
            b"\x16\x03\x01".as_slice(),
            b"PROPFIND / HTTP/1.1\r\n\r\n",
            b"\r\n\r\nGET /",
        ] {
            let (said, rest) = outcome(&[bytes], ProxyProtocol::Optional).await;
            assert_eq!((said.as_str(), rest.as_slice()), ("None", bytes));
            let (said, _) = outcome(&[bytes], ProxyProtocol::Required).await;
            assert_eq!(said, "the connection does not begin with a PROXY header");
        }
    }

    #[tokio::test]
    async fn cut_oversized_and_broken_headers_are_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(120));
        for (bytes, said) in [
            (b"PROXY TCP4 192.0.2.7".to_vec(), "could not be read"),
            (b"PROXY".to_vec(), "could not be read"),
            (BINARY.to_vec(), "could not be read"),
            (binary(1, 0x11, &V4)[..20].to_vec(), "could not be read"),
            (Vec::new(), "could not be read"),
            (long.into_bytes(), "too long"),
            (binary(1, 0x11, &[0; 5000]), "too long"),
            (
                b"PROXY TCP4 192.0.2.7 10.0.0.1 40000\r\n".to_vec(),
                "malformed",
            ),
            (b"PROXY TCP4 ::1 ::1 1 1\r\n".to_vec(), "malformed"),
            (
                b"PROXY TCP5 192.0.2.7 10.0.0.1 1 1\r\n".to_vec(),
                "malformed",
            ),
            (b"PROXY \r\n".to_vec(), "malformed"),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 1\n".to_vec(), "malformed"),
            (binary(1, 0x11, &V4[..8]), "malformed"),
            (binary(2, 0x11, &V4), "malformed"),
            (binary(1, 0x41, &V4), "malformed"),
            (binary(1, 0x12, &V4), "for datagrams"),
        ] {
            for mode in [ProxyProtocol::Required, ProxyProtocol::Optional] {
                let (found, _) = outcome(&[&bytes], mode).await;
                assert!(
                    found.contains(said),
                    "{:?}: {found}",
                    String::from_utf8_lossy(&bytes)
                );
            }
        }
    }

    proptest! {
        #[test]
        fn no_header_is_a_surprise(
            is_text: bool,
            bytes in prop::collection::vec(any::<u8>(), 0..240),
        ) {
            let start = if is_text { TEXT } else { BINARY };
            let _ = parse(&[start, &bytes].concat());
            let len = u16::try_from(bytes.len().saturating_sub(2)).unwrap().to_be_bytes();
            if let [command, family, rest @ ..] = bytes.as_slice() {
                let header = [BINARY, &[0x20 | (command & 1), *family], &len, rest].concat();
                let _ = parse(&header);
            }
        }
    }
}
