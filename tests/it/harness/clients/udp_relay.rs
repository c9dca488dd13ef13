//! A network between a client and a server that loses, repeats and reorders datagrams, the same ones each time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use proxy::tasks::Tasks;
use tokio::net::UdpSocket;

/// A bad network.
pub(crate) struct UdpRelay {
    /// The address that clients send to.
    pub(crate) address: SocketAddr,
    /// `true` while nothing of what the server answers arrives.
    pub(crate) is_mute: Arc<AtomicBool>,
    /// The datagrams of clients.
    pub(crate) sent: Arc<Mutex<Vec<Vec<u8>>>>,
    _tasks: Tasks,
}

/// What happens to datagrams, each in so many of a hundred cases.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) lost: u8,
    pub(crate) repeated: u8,
    pub(crate) late: u8,
}

impl Faults {
    /// A network without faults.
    pub(crate) const NONE: Self = Self {
        lost: 0,
        repeated: 0,
        late: 0,
    };
}

/// One direction of the network.
struct Direction {
    faults: Faults,
    random: fastrand::Rng,
    /// A datagram that comes after the next one.
    late: Option<Vec<u8>>,
}

impl Direction {
    /// Returns what arrives when `datagram` is sent.
    fn pass(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let late = self.late.take();
        let drawn = self.random.u8(..100);
        let Faults {
            lost,
            repeated,
            late: held,
        } = self.faults;
        let mut arriving = match drawn {
            _ if drawn < lost => Vec::new(),
            _ if drawn < lost + repeated => vec![datagram.to_vec(); 2],
            _ if drawn < lost + repeated + held => {
                self.late = Some(datagram.to_vec());
                Vec::new()
            }
            _ => vec![datagram.to_vec()],
        };
        arriving.extend(late);
        arriving
    }
}

impl UdpRelay {
    /// Starts a network before `server`.
    pub(crate) async fn start(server: SocketAddr, seed: u64, faults: Faults) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = front.local_addr().unwrap();
        let tasks = Tasks::new();
        let group = tasks.clone();
        let (is_mute, sent) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (mute, record) = (Arc::clone(&is_mute), Arc::<Mutex<Vec<_>>>::clone(&sent));
        let direction = move |seed| Direction {
            faults,
            random: fastrand::Rng::with_seed(seed),
            late: None,
        };
        tasks.spawn(async move {
            let mut clients = HashMap::new();
            let mut there = direction(seed);
            let mut buffer = vec![0; 64 * 1024];
            while let Ok((length, client)) = front.recv_from(&mut buffer).await {
                if let Entry::Vacant(entry) = clients.entry(client) {
                    let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                    back.connect(server).await.unwrap();
                    let direction = Mutex::new(direction(seed + 1));
                    group.spawn(answers(
                        Arc::clone(&back),
                        (Arc::clone(&front), client),
                        direction,
                        Arc::clone(&mute),
                    ));
                    entry.insert(back);
                }
                record.lock().push(buffer[..length].to_vec());
                for datagram in there.pass(&buffer[..length]) {
                    let _ = clients[&client].send(&datagram).await;
                }
            }
        });
        Self {
            address,
            is_mute,
            sent,
            _tasks: tasks,
        }
    }
}

/// Sends what the server answers back to one client.
async fn answers(
    back: Arc<UdpSocket>,
    (front, client): (Arc<UdpSocket>, SocketAddr),
    direction: Mutex<Direction>,
    is_mute: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = back.recv(&mut buffer).await {
        if is_mute.load(Ordering::Relaxed) {
            continue;
        }
        let arriving = direction.lock().pass(&buffer[..length]);
        for datagram in arriving {
            let _ = front.send_to(&datagram, client).await;
        }
    }
}
