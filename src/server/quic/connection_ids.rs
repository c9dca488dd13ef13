//! Connection ids that say which worker of which process has the connection. They are encrypted, so that nobody else can read
//! them or make one up that leads to a worker of its choice.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::quic::{AES_128, HeaderProtectionKey};
use aws_lc_rs::rand;
use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};

/// Bytes of a connection id.
const LEN: usize = 16;
/// Random bytes at its beginning. The rest is encrypted by them.
const NONCE: usize = 11;
/// Bytes of one block of the cipher.
const BLOCK: usize = 16;

/// A worker of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Home {
    /// Number of the process: each successor has the next one.
    pub(super) generation: u8,
    /// Number of the worker.
    pub(super) worker: u16,
}

/// Encrypts and decrypts connection ids.
pub(super) struct ConnectionIds(HeaderProtectionKey);

impl ConnectionIds {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        let key = HeaderProtectionKey::new(&AES_128, key);
        Self(key.expect("a key of AES-128 has 16 bytes"))
    }

    /// Makes a new id of a connection that is at `home`.
    fn issue(&self, home: Home) -> ConnectionId {
        let mut id = [0; LEN];
        rand::fill(&mut id[..NONCE]).expect("the system has random bytes");
        let [high, low] = home.worker.to_be_bytes();
        // The two zeros show that an id is one of these.
        let plain = [home.generation, high, low, 0, 0];
        let mask = self.mask(&id);
        for (byte, (plain, mask)) in id[NONCE..].iter_mut().zip(plain.iter().zip(mask)) {
            *byte = plain ^ mask;
        }
        ConnectionId::new(&id)
    }

    /// Returns where the connection with this id is. `None` for ids that clients have chosen.
    fn home(&self, id: &[u8; LEN]) -> Option<Home> {
        let mut plain = self.mask(id);
        for (plain, byte) in plain.iter_mut().zip(&id[NONCE..]) {
            *plain ^= byte;
        }
        let [generation, high, low, 0, 0] = plain else {
            return None;
        };
        let worker = u16::from_be_bytes([high, low]);
        Some(Home { generation, worker })
    }

    /// Returns where the connection of a datagram is. `None` for the first datagrams of a connection, and for those that are no
    /// QUIC.
    pub(super) fn home_of(&self, datagram: &[u8]) -> Option<Home> {
        self.home(destination_id(datagram)?)
    }

    fn mask(&self, id: &[u8; LEN]) -> [u8; LEN - NONCE] {
        let mut block = [0; BLOCK];
        block[..NONCE].copy_from_slice(&id[..NONCE]);
        let mask = self.0.new_mask(&block);
        mask.expect("a block of AES has 16 bytes")
    }
}

/// Returns the connection id that a client has chosen for the first datagrams of its connection. `None` for other datagrams (RFC
/// 8999 section 5).
pub(super) fn first_id(datagram: &[u8]) -> Option<&[u8]> {
    let has_long_header = datagram.first()? & 0x80 != 0;
    let length = usize::from(*datagram.get(5)?);
    datagram.get(6..6 + length).filter(|_| has_long_header)
}

/// Returns the destination connection id of a datagram, if it can be one of ours (RFC 8999 section 5).
fn destination_id(datagram: &[u8]) -> Option<&[u8; LEN]> {
    let has_long_header = datagram.first()? & 0x80 != 0;
    if !has_long_header {
        return datagram.get(1..)?.first_chunk();
    }
    let length = usize::from(*datagram.get(5)?);
    if length == LEN {
        datagram.get(6..)?.first_chunk()
    } else {
        None
    }
}

/// Makes the connection ids of one worker.
pub(super) struct WorkerIds {
    pub(super) ids: Arc<ConnectionIds>,
    pub(super) home: Home,
}

impl ConnectionIdGenerator for WorkerIds {
    fn generate_cid(&mut self) -> ConnectionId {
        self.ids.issue(self.home)
    }

    /// Datagrams with other ids get no stateless reset.
    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        let id = id.first_chunk().filter(|_| id.len() == LEN);
        let home = id.and_then(|id| self.ids.home(id));
        home.map(|_| ()).ok_or(InvalidCid)
    }

    fn cid_len(&self) -> usize {
        LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Home = Home {
        generation: 7,
        worker: 300,
    };

    #[test]
    fn an_id_leads_home_in_both_forms_of_header() {
        let ids = ConnectionIds::new(&[1; 16]);
        let id = ids.issue(HOME);
        let short = [&[0x40], &id[..], b"payload"].concat();
        assert_eq!(ids.home_of(&short), Some(HOME));
        let long = [&[0xe0, 0, 0, 0, 1, 16], &id[..], b"payload"].concat();
        assert_eq!(ids.home_of(&long), Some(HOME));
    }

    #[test]
    fn ids_differ_and_only_the_holder_of_the_key_can_read_or_make_them() {
        let ids = ConnectionIds::new(&[1; 16]);
        let (one, other) = (ids.issue(HOME), ids.issue(HOME));
        assert_ne!(one[..], other[..]);
        let home = |ids: &ConnectionIds, id: &[u8]| ids.home(id.first_chunk().unwrap());
        assert_eq!(home(&ids, &one), Some(HOME));
        let stranger = ConnectionIds::new(&[2; 16]);
        let read = (0..200).filter(|_| home(&stranger, &ids.issue(HOME)).is_some());
        assert!(read.count() < 3);
        let mut changed = one.to_vec();
        changed[15] ^= 1;
        assert_eq!(home(&ids, &changed), None);
    }

    #[test]
    fn datagrams_that_are_cut_or_have_ids_of_clients_lead_nowhere() {
        let ids = ConnectionIds::new(&[1; 16]);
        let initial = [&[0xc0, 0, 0, 0, 1, 8][..], &[9; 30]].concat();
        for datagram in [&[][..], &[0x40], &[0xc0, 0, 0], &[0x40; 16], &initial] {
            assert_eq!(ids.home_of(datagram), None, "{datagram:?}");
        }
        assert_eq!(first_id(&initial), Some(&[9; 8][..]));
        assert_eq!(first_id(&initial[..10]), None);
        assert_eq!(first_id(&[0x40; 30]), None);
    }
}
