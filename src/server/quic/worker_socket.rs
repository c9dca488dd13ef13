//! The UDP socket of one worker. The kernel may hand it datagrams of a connection that another worker has, for example after the
//! client has changed its address, or one of another process. They are passed on.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use socket2::SockRef;
use tokio::sync::mpsc;

use super::connection_ids::{Home, WorkerIds, first_id};
use super::passed_datagram::PassedDatagram;
use super::quic_network::{Inboxes, QuicNetwork};
use super::udp_listener::UdpListener;

/// Datagrams that may wait for a worker. More are dropped, as by a full buffer of the kernel.
const MOST_WAITING: usize = 1024;

/// The sockets of all workers on one address.
#[derive(Debug)]
pub struct WorkerSockets {
    sockets: Vec<UnopenedSocket>,
}

/// The parts of the socket of one worker, until the worker opens it.
#[derive(Debug)]
struct UnopenedSocket {
    socket: UdpListener,
    route: Route,
    inbox: mpsc::Receiver<PassedDatagram>,
}

/// The way of a datagram to its worker.
#[derive(Clone)]
struct Route {
    network: QuicNetwork,
    /// The address of the socket.
    listener: SocketAddr,
    home: Home,
    workers: Inboxes,
    /// Spreads the clients of a socket that several workers have. The kernel gives each datagram to any of them.
    spread: Option<RandomState>,
}

impl WorkerSockets {
    /// Makes the `sockets` of one address those of workers, the first of which has the number 0. Connection ids say which one
    /// has a connection.
    pub fn new(sockets: Vec<UdpListener>, network: &QuicNetwork) -> io::Result<Self> {
        let (workers, inboxes): (Vec<_>, Vec<_>) =
            sockets.iter().map(|_| mpsc::channel(MOST_WAITING)).unzip();
        let workers: Inboxes = workers.into();
        let spread = is_any_shared(&sockets)?.then(RandomState::new);
        let mut unopened = Vec::new();
        for ((socket, inbox), worker) in sockets.into_iter().zip(inboxes).zip(0..) {
            let listener = socket.address()?;
            network.add(listener, Arc::clone(&workers));
            unopened.push(UnopenedSocket {
                route: Route {
                    network: network.clone(),
                    listener,
                    home: Home {
                        generation: network.generation(),
                        worker,
                    },
                    workers: Arc::clone(&workers),
                    spread: spread.clone(),
                },
                socket,
                inbox,
            });
        }
        Ok(Self { sockets: unopened })
    }

    /// Returns the sockets one by one.
    pub fn into_each(self) -> impl Iterator<Item = ClosedSocket> {
        self.sockets.into_iter().map(ClosedSocket)
    }
}

/// The socket of one worker, which no runtime waits on yet.
#[derive(Debug)]
pub struct ClosedSocket(UnopenedSocket);

impl ClosedSocket {
    /// Registers the socket with the current runtime.
    pub(super) fn open(self) -> io::Result<WorkerSocket> {
        let UnopenedSocket {
            socket,
            route,
            inbox,
        } = self.0;
        Ok(WorkerSocket {
            socket: TokioRuntime.wrap_udp_socket(socket.socket)?,
            route,
            inbox: Mutex::new(inbox),
        })
    }
}

/// The socket of one worker.
#[derive(Debug)]
pub(super) struct WorkerSocket {
    socket: Arc<dyn AsyncUdpSocket>,
    route: Route,
    inbox: Mutex<mpsc::Receiver<PassedDatagram>>,
}

impl WorkerSocket {
    /// Returns the generator of the ids that lead here.
    pub(super) fn ids(&self) -> WorkerIds {
        WorkerIds {
            ids: Arc::clone(self.route.network.ids()),
            home: self.route.home,
        }
    }

    /// Takes the datagrams that others have passed here. If there are none, the next one wakes the task.
    fn take_passed(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> usize {
        let mut inbox = self.inbox.lock();
        let mut taken = 0;
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            let Poll::Ready(Some(passed)) = inbox.poll_recv(cx) else {
                break;
            };
            if let Some(room) = buffer.get_mut(..passed.data.len()) {
                room.copy_from_slice(&passed.data);
                *meta = passed.meta;
                taken += 1;
            }
        }
        taken
    }
}

/// `true` if two of these are the same socket.
fn is_any_shared(sockets: &[UdpListener]) -> io::Result<bool> {
    let mut seen = HashSet::new();
    for socket in sockets {
        if !seen.insert(SockRef::from(&socket.socket).cookie()?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where a datagram belongs.
enum Destination<'r> {
    Here,
    Worker(&'r mpsc::Sender<PassedDatagram>),
    /// A worker of another process.
    Process(Home),
}

impl Route {
    fn destination(&self, datagram: &[u8]) -> Destination<'_> {
        match self.network.ids().home_of(datagram) {
            None => self.first_destination(datagram),
            Some(home) if home == self.home => Destination::Here,
            Some(home) if home.generation != self.home.generation => Destination::Process(home),
            Some(home) => match self.workers.get(usize::from(home.worker)) {
                Some(worker) => Destination::Worker(worker),
                None => Destination::Here,
            },
        }
    }

    /// Returns where a datagram of a new connection belongs. All of the first ones have to come together.
    fn first_destination(&self, datagram: &[u8]) -> Destination<'_> {
        let Some((spread, id)) = self.spread.as_ref().zip(first_id(datagram)) else {
            return Destination::Here;
        };
        let count = self.workers.len() as u64;
        let worker = usize::try_from(spread.hash_one(id) % count).unwrap_or_default();
        if worker == usize::from(self.home.worker) {
            return Destination::Here;
        }
        self.workers
            .get(worker)
            .map_or(Destination::Here, Destination::Worker)
    }

    /// Passes a datagram to where it belongs. Returns `false` if that is here.
    fn pass_on(&self, datagram: &[u8], meta: &RecvMeta) -> bool {
        match self.destination(datagram) {
            Destination::Here => false,
            Destination::Worker(worker) => {
                // A full inbox loses datagrams, which are sent again.
                let _ = worker.try_send(PassedDatagram::new(meta, datagram));
                true
            }
            Destination::Process(home) => {
                let passed = PassedDatagram::new(meta, datagram);
                self.network.pass_on(home, self.listener, &passed)
            }
        }
    }

    /// Passes on the datagrams of other workers, and leaves the others in `buffer`.
    fn keep_own(&self, buffer: &mut [u8], meta: &mut RecvMeta) {
        let stride = meta.stride.max(1);
        let received = buffer.get_mut(..meta.len).unwrap_or_default();
        let is_own = |datagram: &[u8]| matches!(self.destination(datagram), Destination::Here);
        if received.chunks(stride).all(is_own) {
            return;
        }
        let (mut kept, mut begin) = (0, 0);
        while begin < received.len() {
            let end = received.len().min(begin + stride);
            if !self.pass_on(&received[begin..end], meta) {
                received.copy_within(begin..end, kept);
                kept += end - begin;
            }
            begin = end;
        }
        meta.len = kept;
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Route").field(&self.home).finish()
    }
}

impl AsyncUdpSocket for WorkerSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let passed = self.take_passed(cx, buffers, metas);
        if passed > 0 {
            return Poll::Ready(Ok(passed));
        }
        if self.route.network.is_handed_over() {
            return Poll::Pending;
        }
        let count = ready!(self.socket.poll_recv(cx, buffers, metas))?;
        for (buffer, meta) in buffers.iter_mut().zip(metas).take(count) {
            self.route.keep_own(buffer, meta);
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use quinn::ConnectionIdGenerator;

    use super::super::quic_keys::QuicKeys;
    use super::super::quic_network::PredecessorLink;
    use crate::tasks::Tasks;

    use super::*;

    fn workers(count: usize) -> Vec<Arc<WorkerSocket>> {
        let sockets = UdpListener::bind("127.0.0.1:0".parse().unwrap(), count).unwrap();
        let network = QuicNetwork::new(QuicKeys::random(), None, &Tasks::new()).unwrap();
        open(sockets, &network)
    }

    fn open(sockets: Vec<UdpListener>, network: &QuicNetwork) -> Vec<Arc<WorkerSocket>> {
        let sockets = WorkerSockets::new(sockets, network).unwrap();
        let open = |socket: ClosedSocket| Arc::new(socket.open().unwrap());
        sockets.into_each().map(open).collect()
    }

    /// Returns a datagram for the worker of this socket.
    fn datagram(worker: &WorkerSocket, text: &str) -> Vec<u8> {
        let id = worker.ids().generate_cid();
        [&[0x40], &id[..], text.as_bytes()].concat()
    }

    /// Returns what a worker receives at once.
    async fn received(worker: &WorkerSocket) -> Vec<Vec<u8>> {
        let (mut one, mut other) = ([0; 4096], [0; 4096]);
        let mut buffers = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut other)];
        let mut metas = [RecvMeta::default(); 2];
        let receiving = poll_fn(|cx| worker.poll_recv(cx, &mut buffers, &mut metas));
        let count = receiving.await.unwrap();
        let received = buffers.iter().zip(&metas).take(count);
        let datagrams = received.map(|(buffer, meta)| buffer[..meta.len].to_vec());
        datagrams.filter(|datagram| !datagram.is_empty()).collect()
    }

    #[tokio::test]
    async fn a_datagram_at_the_wrong_worker_is_passed_to_the_right_one() {
        let workers = workers(3);
        let sent = datagram(&workers[2], "for two");
        let mut buffer = sent.clone();
        let mut meta = RecvMeta {
            len: sent.len(),
            stride: sent.len(),
            ..RecvMeta::default()
        };
        workers[0].route.keep_own(&mut buffer, &mut meta);
        assert_eq!(meta.len, 0);
        assert_eq!(received(&workers[2]).await, [sent]);
    }

    #[tokio::test]
    async fn only_the_datagrams_of_others_leave_a_batch() {
        let workers = workers(2);
        let texts = [(0, "a"), (1, "b"), (0, "c"), (1, "d"), (0, "")];
        let batch: Vec<_> = texts
            .iter()
            .map(|(worker, text)| datagram(&workers[*worker], text))
            .collect();
        let mut buffer = batch.concat();
        let mut meta = RecvMeta {
            len: buffer.len(),
            stride: batch[0].len(),
            ..RecvMeta::default()
        };
        workers[0].route.keep_own(&mut buffer, &mut meta);
        let kept = [&batch[0][..], &batch[2], &batch[4]].concat();
        assert_eq!(buffer[..meta.len], kept);
        let passed = received(&workers[1]).await;
        assert_eq!(passed, [batch[1].clone(), batch[3].clone()]);
    }

    #[tokio::test]
    async fn the_first_datagrams_of_a_connection_get_to_one_worker_of_a_shared_socket() {
        let one = UdpListener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let shared = UdpListener::share(one, 2).unwrap();
        let network = QuicNetwork::new(QuicKeys::random(), None, &Tasks::new()).unwrap();
        let workers = open(shared, &network);
        let mut own = [0, 0];
        for id in 0..64_u8 {
            let initial = [&[0xc0, 0, 0, 0, 1, 8][..], &[id; 1200]].concat();
            let is_here = |worker: &Arc<WorkerSocket>| {
                matches!(worker.route.destination(&initial), Destination::Here)
            };
            let here = [is_here(&workers[0]), is_here(&workers[1])];
            assert_ne!(here[0], here[1]);
            own[usize::from(here[1])] += 1;
        }
        assert!(own[0] > 10 && own[1] > 10, "{own:?}");
    }

    #[tokio::test]
    async fn a_full_inbox_drops_datagrams_and_does_not_grow() {
        let workers = workers(2);
        for _ in 0..2 * MOST_WAITING {
            let mut buffer = datagram(&workers[1], "x");
            let mut meta = RecvMeta {
                len: buffer.len(),
                stride: buffer.len(),
                ..RecvMeta::default()
            };
            workers[0].route.keep_own(&mut buffer, &mut meta);
        }
        assert_eq!(workers[1].inbox.lock().len(), MOST_WAITING);
    }

    #[tokio::test]
    async fn datagrams_of_a_process_and_its_successor_get_to_the_right_one_through_either() {
        // Given a process with two workers, and a successor on the same sockets.
        let tasks = Tasks::new();
        let keys = QuicKeys::random();
        let sockets = UdpListener::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let duplicate = |socket: &UdpListener| socket.duplicate().unwrap();
        let inherited: Vec<_> = sockets.iter().map(duplicate).collect();
        let old = QuicNetwork::new(keys.clone(), None, &tasks).unwrap();
        let link = old.link_successor(&tasks).unwrap();
        let link = PredecessorLink {
            socket: link.socket.into(),
            generation: link.generation,
        };
        let new = QuicNetwork::new(keys, Some(link), &tasks).unwrap();
        let (old_workers, new_workers) = (open(sockets, &old), open(inherited, &new));
        // When either receives what belongs to the other one.
        for (receiver, owner) in [
            (&new_workers[0], &old_workers[1]),
            (&old_workers[0], &new_workers[1]),
        ] {
            let sent = datagram(owner, "hello");
            let mut buffer = sent.clone();
            let mut meta = RecvMeta {
                addr: "127.0.0.1:9".parse().unwrap(),
                len: sent.len(),
                stride: sent.len(),
                ..RecvMeta::default()
            };
            receiver.route.keep_own(&mut buffer, &mut meta);
            // Then that gets it.
            assert_eq!(meta.len, 0);
            assert_eq!(received(owner).await, [sent]);
        }
        // When the successor serves, only it reads from the sockets.
        old.hand_over();
        let address = new_workers[0].local_addr().unwrap();
        let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(b"new", address).await.unwrap();
        let (one, other) = (received(&new_workers[0]), received(&new_workers[1]));
        let got = tokio::select! {
            got = one => got,
            got = other => got,
            got = received(&old_workers[0]) => panic!("{got:?}"),
            got = received(&old_workers[1]) => panic!("{got:?}"),
        };
        assert_eq!(got, [b"new"]);
    }

    #[tokio::test]
    async fn datagrams_arrive_over_the_network() {
        let workers = workers(1);
        let address = workers[0].local_addr().unwrap();
        let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(b"hello", address).await.unwrap();
        assert_eq!(received(&workers[0]).await, [b"hello"]);
    }
}
