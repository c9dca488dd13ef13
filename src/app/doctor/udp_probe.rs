//! Finds out whether QUIC is answered at an address: a packet of a version that does not exist is answered with those that do
//! (RFC 9000 section 6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Bytes of a packet that gets an answer (RFC 9000 section 14.1).
const PACKET: usize = 1200;
/// A version that is reserved for this use (RFC 9000 section 15).
const NO_VERSION: [u8; 4] = [0x1a, 0x2a, 0x3a, 0x4a];
/// Bytes of the connection ids in the packet.
const ID: usize = 8;
/// Time for an answer, after which the packet is sent again.
const PATIENCE: Duration = Duration::from_secs(1);
/// Packets that are sent.
const TRIES: usize = 2;

/// `true` if QUIC is answered at `address`.
pub(super) async fn is_answered(address: SocketAddr) -> bool {
    for _ in 0..TRIES {
        if let Ok(Ok(true)) = timeout(PATIENCE, ask(address)).await {
            return true;
        }
    }
    false
}

async fn ask(address: SocketAddr) -> std::io::Result<bool> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    let id: [u8; ID] = std::array::from_fn(|_| fastrand::u8(..));
    socket.send(&packet(&id)).await?;
    let mut answer = [0; PACKET];
    let length = socket.recv(&mut answer).await?;
    Ok(is_negotiation(
        answer.get(..length).unwrap_or_default(),
        &id,
    ))
}

/// A packet with a long header, whose both connection ids are `id`.
fn packet(id: &[u8; ID]) -> Vec<u8> {
    let length = [u8::try_from(ID).unwrap_or_default()];
    let mut packet = [&[0xc0], &NO_VERSION[..], &length, id, &length, id].concat();
    packet.resize(PACKET, 0);
    packet
}

/// `true` if the answer negotiates the version of the packet with this id.
fn is_negotiation(answer: &[u8], id: &[u8; ID]) -> bool {
    let is_long = answer.first().is_some_and(|first| first & 0x80 != 0);
    let has_no_version = answer.get(1..5) == Some(&[0; 4][..]);
    is_long && has_no_version && answer.get(6..6 + ID) == Some(&id[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endpoint_is_told_from_silence_and_from_other_services() {
        let quic = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let echo = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = |socket: &UdpSocket| socket.local_addr().unwrap();
        let at = [&quic, &echo, &silent].map(address);
        let serving = async {
            let mut packet = [0; 2 * PACKET];
            loop {
                let (length, from) = quic.recv_from(&mut packet).await.unwrap();
                assert_eq!(length, PACKET);
                let id = &packet[15..23];
                let answer = [&[0x80, 0, 0, 0, 0, 8], id, &[8], id, &[0, 0, 0, 1]].concat();
                quic.send_to(&answer, from).await.unwrap();
            }
        };
        let echoing = async {
            let mut packet = [0; 2 * PACKET];
            loop {
                let (length, from) = echo.recv_from(&mut packet).await.unwrap();
                echo.send_to(&packet[..length], from).await.unwrap();
            }
        };
        let asking = async {
            let mut answered = Vec::new();
            for address in at {
                answered.push(is_answered(address).await);
            }
            answered
        };
        let answered = tokio::select! {
            answered = asking => answered,
            () = serving => panic!("it serves on"),
            () = echoing => panic!("it echoes on"),
        };
        assert_eq!(answered, [true, false, false]);
    }
}
