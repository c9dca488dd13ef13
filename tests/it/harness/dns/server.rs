//! A DNS server with a few records, over UDP and TCP, which a test can make misbehave.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CAA, CNAME, NS, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::harness::ports::Reservation;

/// A running server; dropping the value ends it.
pub(crate) struct DnsServer {
    address: SocketAddr,
    data: Arc<Mutex<Data>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Data {
    records: BTreeMap<String, Vec<RData>>,
    codes: BTreeMap<String, ResponseCode>,
    silent: Vec<String>,
    ttl: Option<u32>,
    wants_recursion: bool,
}

impl DnsServer {
    /// Starts a server without records on some port of `127.0.0.1`.
    pub(crate) fn start() -> Self {
        let address = Reservation::new().address();
        Self::start_on(address)
    }

    /// Starts a server without records at this address.
    pub(crate) fn start_on(address: SocketAddr) -> Self {
        let udp = UdpSocket::bind(address).unwrap();
        let tcp = TcpListener::bind(address).unwrap();
        let data = Arc::new(Mutex::new(Data::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let threads = vec![
            spawn(&data, &stop, move |data, stop| serve_udp(&udp, data, stop)),
            spawn(&data, &stop, move |data, stop| serve_tcp(&tcp, data, stop)),
        ];
        Self {
            address,
            data,
            stop,
            threads,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn a(&self, name: &str, address: Ipv4Addr) -> &Self {
        self.add(name, RData::A(A(address)))
    }

    pub(crate) fn aaaa(&self, name: &str, address: &str) -> &Self {
        self.add(name, RData::AAAA(AAAA(address.parse().unwrap())))
    }

    pub(crate) fn cname(&self, name: &str, target: &str) -> &Self {
        self.add(name, RData::CNAME(CNAME(parse(target))))
    }

    pub(crate) fn ns(&self, name: &str, host: &str) -> &Self {
        self.add(name, RData::NS(NS(parse(host))))
    }

    /// Adds an SRV target with priority, weight and port.
    pub(crate) fn srv(
        &self,
        name: &str,
        target: &str,
        [priority, weight, port]: [u16; 3],
    ) -> &Self {
        let record = SRV::new(priority, weight, port, parse(target));
        self.add(name, RData::SRV(record))
    }

    pub(crate) fn txt(&self, name: &str, strings: &[&str]) -> &Self {
        let strings = strings.iter().map(|&text| text.to_owned()).collect();
        self.add(name, RData::TXT(TXT::new(strings)))
    }

    /// Removes one TXT value of a name.
    pub(crate) fn remove_txt(&self, name: &str, text: &str) {
        let removed = RData::TXT(TXT::new(vec![text.to_owned()]));
        let mut state = self.data.lock().unwrap();
        let records = state.records.entry(key(&parse(name))).or_default();
        records.retain(|record| *record != removed);
    }

    /// Returns all TXT values of a name.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let state = self.data.lock().unwrap();
        let records = state.records.get(&key(&parse(name)));
        let texts = records.into_iter().flatten().filter_map(|data| match data {
            RData::TXT(text) => Some(text.to_string()),
            _ => None,
        });
        texts.collect()
    }

    /// Adds a CAA record that allows one CA, or none if `issuer` is `None`.
    pub(crate) fn caa(&self, name: &str, issuer: Option<&str>) -> &Self {
        let issue = CAA::new_issue(
            false,
            issuer.map(|name| Name::from_ascii(name).unwrap()),
            Vec::new(),
        );
        self.add(name, RData::CAA(issue))
    }

    pub(crate) fn add(&self, name: &str, data: RData) -> &Self {
        let mut state = self.data.lock().unwrap();
        state
            .records
            .entry(key(&parse(name)))
            .or_default()
            .push(data);
        drop(state);
        self
    }

    /// Removes all records of the name.
    pub(crate) fn forget(&self, name: &str) -> &Self {
        let mut state = self.data.lock().unwrap();
        let key = key(&parse(name));
        state.records.remove(&key);
        state.codes.remove(&key);
        drop(state);
        self
    }

    /// Refuses questions that do not ask for recursion, as resolvers do.
    pub(crate) fn wanting_recursion(&self) -> &Self {
        self.data.lock().unwrap().wants_recursion = true;
        self
    }

    /// Sets the TTL of all answers in seconds.
    pub(crate) fn ttl(&self, seconds: u32) -> &Self {
        self.data.lock().unwrap().ttl = Some(seconds);
        self
    }

    /// Answers every question for the name with this response code.
    pub(crate) fn code(&self, name: &str, code: ResponseCode) -> &Self {
        let mut state = self.data.lock().unwrap();
        state.codes.insert(key(&parse(name)), code);
        drop(state);
        self
    }

    /// Leaves all questions for the name without an answer.
    pub(crate) fn silent(&self, name: &str) -> &Self {
        self.data.lock().unwrap().silent.push(key(&parse(name)));
        self
    }
}

impl std::fmt::Debug for DnsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DnsServer").finish_non_exhaustive()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let wake = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let _ = wake.send_to(&[], self.address);
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn spawn(
    data: &Arc<Mutex<Data>>,
    stop: &Arc<AtomicBool>,
    serve: impl FnOnce(&Arc<Mutex<Data>>, &AtomicBool) + Send + 'static,
) -> JoinHandle<()> {
    let (data, stop) = (Arc::clone(data), Arc::clone(stop));
    std::thread::spawn(move || serve(&data, &stop))
}

fn serve_udp(socket: &UdpSocket, data: &Mutex<Data>, stop: &AtomicBool) {
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if stop.load(Ordering::SeqCst) {
            return;
        }
        if let Some(answer) = answer(&buffer[..length], data) {
            let _ = socket.send_to(&answer, peer);
        }
    }
}

fn serve_tcp(listener: &TcpListener, data: &Arc<Mutex<Data>>, stop: &AtomicBool) {
    for client in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(client) = client {
            let data = Arc::clone(data);
            std::thread::spawn(move || serve_client(client, &data));
        }
    }
}

fn serve_client(mut client: TcpStream, data: &Mutex<Data>) -> Option<()> {
    loop {
        let mut length = [0; 2];
        client.read_exact(&mut length).ok()?;
        let mut question = vec![0; u16::from_be_bytes(length).into()];
        client.read_exact(&mut question).ok()?;
        let answer = answer(&question, data)?;
        let length = u16::try_from(answer.len()).ok()?;
        client.write_all(&length.to_be_bytes()).ok()?;
        client.write_all(&answer).ok()?;
    }
}

fn answer(question: &[u8], data: &Mutex<Data>) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    let query = question.queries.first()?.clone();
    let (name, kind) = (key(query.name()), query.query_type());
    let data = data.lock().unwrap();
    if data.silent.contains(&name) {
        return None;
    }
    let mut answer = Message::response(question.id, OpCode::Query);
    answer.metadata.authoritative = true;
    answer.add_query(query.clone());
    let ttl = data.ttl.unwrap_or(60);
    let found = data.records.get(&name).map(Vec::as_slice);
    for record in found.unwrap_or_default() {
        if record.record_type() == kind || record.record_type() == RecordType::CNAME {
            answer.add_answer(Record::from_rdata(
                query.name().clone(),
                ttl,
                record.clone(),
            ));
        }
    }
    let below = format!(".{name}");
    let exists = data
        .records
        .keys()
        .any(|known| *known == name || known.ends_with(&below));
    let is_refused = data.wants_recursion && !question.metadata.recursion_desired;
    answer.metadata.response_code = match data.codes.get(&name) {
        _ if is_refused => ResponseCode::Refused,
        Some(code) => *code,
        None if exists => ResponseCode::NoError,
        None => ResponseCode::NXDomain,
    };
    answer.to_vec().ok()
}

fn parse(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    name
}

fn key(name: &Name) -> String {
    name.to_lowercase().to_ascii()
}
