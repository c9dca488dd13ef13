//! The listeners of the next configuration: those that already run, those whose sockets were passed to this process, and new
//! ones, which are bound.

use std::net::SocketAddr;

use tracing::warn;

use super::passed_sockets::{PassedSockets, Protocol};
use crate::admin::ListenerStatus;
use crate::listener_names::{DEFAULT_LISTENER, ListenerNames};
use crate::server::{
    AltSvc, BindError, Http3Options, Http3Service, HttpsPorts, ListenOptions, Listener,
    ListenerOptions, UdpListener,
};

/// A listener that runs: its options, and the address that it is bound to.
#[derive(Clone, Debug)]
pub(in crate::app) struct BoundListener {
    pub(super) options: ListenerOptions,
    /// The address with its port, also where the system chose it.
    pub(in crate::app) address: SocketAddr,
    pub(super) http3: Http3State,
}

/// Whether a listener serves HTTP/3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Http3State {
    #[default]
    Off,
    /// At this port, as clients see it.
    On(u16),
    /// It did until a reload.
    Ended,
}

impl BoundListener {
    /// Returns the address, after the listener's name if that is not the default one.
    pub(in crate::app) fn named_address(&self) -> String {
        match self.options.name.as_str() {
            DEFAULT_LISTENER => self.address.to_string(),
            name => format!("{name}={}", self.address),
        }
    }
}

/// All listeners that run.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct BoundListeners {
    pub(in crate::app) http: Vec<BoundListener>,
    pub(in crate::app) https: Vec<BoundListener>,
}

impl BoundListeners {
    /// Returns the addresses, those of plain HTTP first.
    pub(in crate::app) fn addresses(&self) -> Vec<SocketAddr> {
        let all = self.http.iter().chain(&self.https);
        all.map(|listener| listener.address).collect()
    }

    /// Returns the name under which the sockets of a listener are passed to another process, by its place.
    pub(super) fn socket_names(&self) -> impl Iterator<Item = String> {
        let http = self.http.iter().map(|it| (Protocol::Http, it));
        let https = self.https.iter().map(|it| (Protocol::Https, it));
        let all = http.chain(https);
        all.map(|(protocol, listener)| protocol.socket_name(&listener.options.name))
    }

    /// Returns the name under which the UDP sockets of each HTTPS listener are passed on.
    pub(super) fn udp_names(&self) -> impl Iterator<Item = String> {
        let listeners = self.https.iter();
        listeners.map(|listener| Protocol::Http3.socket_name(&listener.options.name))
    }

    /// Returns the rows of `proxy status`.
    pub(in crate::app) fn statuses(&self) -> Vec<ListenerStatus> {
        let http3 = self.https.iter();
        let http3 = http3.filter(|listener| matches!(listener.http3, Http3State::On(_)));
        let http = self.http.iter().map(|listener| ("http", listener));
        let https = self.https.iter().map(|listener| ("https", listener));
        let all = http.chain(https);
        let all = all.chain(http3.map(|listener| ("http3", listener)));
        let rows = all.map(|(protocol, listener)| ListenerStatus {
            protocol: protocol.to_owned(),
            name: listener.options.name.clone(),
            address: listener.address.to_string(),
        });
        rows.collect()
    }

    /// Returns what clients over TCP are told of HTTP/3.
    pub(super) fn alt_svc(&self, names: &ListenerNames) -> AltSvc {
        let listeners = self.https.iter();
        let services = listeners.filter_map(|listener| {
            let name = names.id(&listener.options.name)?;
            let service = match listener.http3 {
                Http3State::Off => return None,
                Http3State::On(port) => Http3Service::At(port),
                Http3State::Ended => Http3Service::Ended,
            };
            Some((name, service))
        });
        services.collect()
    }

    /// Returns the ports to which plain HTTP is redirected.
    pub(super) fn https_ports(&self, names: &ListenerNames) -> HttpsPorts {
        let listeners = self.https.iter();
        let ports = listeners.filter_map(|listener| {
            let name = names.id(&listener.options.name)?;
            Some((name, listener.address.port()))
        });
        ports.collect()
    }
}

/// A listener of the next configuration.
#[derive(Debug)]
pub(super) struct PlannedListener {
    pub(super) bound: BoundListener,
    pub(super) source: Source,
    /// New sockets of HTTP/3, one for each worker.
    pub(super) udp: Vec<UdpListener>,
}

/// Where a planned listener comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// The running listener with this index.
    Running(usize),
    /// New sockets, one for each worker.
    New(Vec<Listener>),
}

/// All listeners of the next configuration. A plan that is dropped closes the new sockets and leaves the running ones alone.
#[derive(Debug)]
pub(in crate::app) struct ListenerPlan {
    pub(super) http: Vec<PlannedListener>,
    pub(super) https: Vec<PlannedListener>,
}

impl ListenerPlan {
    /// Binds the addresses of `options` on which no running listener listens yet.
    pub(in crate::app) fn bind(
        options: &ListenOptions,
        workers: usize,
        running: &BoundListeners,
    ) -> Result<Self, BindError> {
        let mut passed = PassedSockets::default();
        let mut binder = Binder {
            workers,
            http3: options.http3,
            own: running.addresses(),
            passed: &mut passed,
        };
        Ok(Self {
            http: binder.plan(Protocol::Http, &options.http, &running.http)?,
            https: binder.plan(Protocol::Https, &options.https, &running.https)?,
        })
    }

    /// Takes the sockets for `options` from those that were passed to this process, and binds the others.
    pub(in crate::app) fn take_or_bind(
        options: &ListenOptions,
        workers: usize,
        passed: &mut PassedSockets,
    ) -> Result<Self, BindError> {
        let mut binder = Binder {
            workers,
            http3: options.http3,
            own: passed.addresses(),
            passed,
        };
        Ok(Self {
            http: binder.plan(Protocol::Http, &options.http, &[])?,
            https: binder.plan(Protocol::Https, &options.https, &[])?,
        })
    }

    /// Returns the addresses of new listeners, with their names.
    pub(super) fn new_addresses(&self) -> impl Iterator<Item = String> {
        let planned = self.http.iter().chain(&self.https);
        let new = planned.filter(|planned| matches!(planned.source, Source::New(_)));
        new.map(|planned| planned.bound.named_address())
    }

    /// Returns the listeners that run when the plan is in effect.
    pub(in crate::app) fn listeners(&self) -> BoundListeners {
        let bound = |planned: &[PlannedListener]| {
            let bound = planned.iter().map(|planned| planned.bound.clone());
            bound.collect()
        };
        BoundListeners {
            http: bound(&self.http),
            https: bound(&self.https),
        }
    }
}

struct Binder<'a> {
    workers: usize,
    http3: Http3Options,
    /// The addresses that this process listens on, which new ones may overlap.
    own: Vec<SocketAddr>,
    passed: &'a mut PassedSockets,
}

impl Binder<'_> {
    fn plan(
        &mut self,
        protocol: Protocol,
        wanted: &[ListenerOptions],
        running: &[BoundListener],
    ) -> Result<Vec<PlannedListener>, BindError> {
        let passed = self.passed.take(protocol, wanted);
        let passed = passed.map_err(BindError::Passed)?;
        let sources = kept(wanted, running).into_iter().zip(passed);
        let planned = wanted.iter().zip(sources).map(|(options, (kept, passed))| {
            let (address, source, former) = match kept {
                Some(index) => {
                    let running = &running[index];
                    (running.address, Source::Running(index), running.http3)
                }
                None => {
                    let sockets = self.open(options, passed)?;
                    let address = sockets[0].address();
                    (address, Source::New(sockets), Http3State::Off)
                }
            };
            let mut bound = BoundListener {
                options: options.clone(),
                address,
                http3: Http3State::Off,
            };
            let mut udp = Vec::new();
            if protocol == Protocol::Https {
                (bound.http3, udp) = self.open_udp(&bound, former);
            }
            Ok(PlannedListener { bound, source, udp })
        });
        planned.collect()
    }

    /// Returns whether a listener serves HTTP/3 from now on, and the sockets for it if they are new. A UDP port that cannot be
    /// bound is no reason not to serve HTTPS over TCP.
    fn open_udp(
        &mut self,
        bound: &BoundListener,
        former: Http3State,
    ) -> (Http3State, Vec<UdpListener>) {
        let port = self.http3.port.unwrap_or_else(|| bound.address.port());
        let is_wanted = self.http3.is_served_by(&bound.options);
        match (is_wanted, former) {
            (true, Http3State::On(_)) => (Http3State::On(port), Vec::new()),
            (false, Http3State::Off) => (Http3State::Off, Vec::new()),
            (false, _) => (Http3State::Ended, Vec::new()),
            (true, _) => match self.udp_sockets(bound.address) {
                Ok(sockets) => (Http3State::On(port), sockets),
                Err(error) => {
                    warn!(
                        address = bound.named_address(), %error,
                        "HTTP/3 is off, because the UDP port cannot be bound; free it, or set `http3 = false`"
                    );
                    (former, Vec::new())
                }
            },
        }
    }

    fn udp_sockets(&mut self, address: SocketAddr) -> std::io::Result<Vec<UdpListener>> {
        let passed = self.passed.take_udp(address);
        if passed.is_empty() {
            UdpListener::bind(address, self.workers)
        } else {
            UdpListener::share(passed, self.workers)
        }
    }

    /// Returns the sockets of a listener, one for each worker: those that were passed, or new ones.
    fn open(
        &mut self,
        options: &ListenerOptions,
        passed: Vec<Listener>,
    ) -> Result<Vec<Listener>, BindError> {
        if !passed.is_empty() {
            return Listener::share(passed, self.workers).map_err(BindError::Passed);
        }
        let sockets = Listener::bind_beside(&self.own, options.address, self.workers)?;
        let address = sockets[0].address();
        self.own.push(address);
        self.passed.note_missing(
            &BoundListener {
                options: options.clone(),
                address,
                http3: Http3State::Off,
            }
            .named_address(),
        );
        Ok(sockets)
    }
}

/// Returns for each wanted listener the index of the running one that listens on its address. Where the system chose the port,
/// it is the listener of the same name.
fn kept(wanted: &[ListenerOptions], running: &[BoundListener]) -> Vec<Option<usize>> {
    let mut taken = vec![false; running.len()];
    let kept = wanted.iter().map(|wanted| {
        let mut candidates = running.iter().enumerate();
        let found = candidates.find(|(index, BoundListener { options, .. })| {
            let is_same = options.address == wanted.address;
            let has_own_port = wanted.address.port() != 0 || options.name == wanted.name;
            !taken[*index] && is_same && has_own_port
        });
        let index = found.map(|(index, _)| index);
        if let Some(index) = index {
            taken[index] = true;
        }
        index
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(listeners: &[(&str, &str)]) -> Vec<ListenerOptions> {
        let listeners = listeners.iter().map(|(name, address)| ListenerOptions {
            name: (*name).to_owned(),
            ..ListenerOptions::at(address.parse().unwrap())
        });
        listeners.collect()
    }

    #[test]
    fn a_listener_is_kept_by_its_address_and_by_its_name_where_the_port_is_any() {
        let running = [
            ("a", "127.0.0.1:80"),
            ("a", "127.0.0.1:0"),
            ("b", "127.0.0.1:0"),
        ];
        let running: Vec<_> = named(&running)
            .into_iter()
            .map(|options| BoundListener {
                address: options.address,
                options,
                http3: Http3State::Off,
            })
            .collect();
        for (wanted, expected) in [
            (&[("b", "127.0.0.1:80")][..], &[Some(0)][..]),
            (
                &[("b", "127.0.0.1:0"), ("a", "127.0.0.1:0")],
                &[Some(2), Some(1)],
            ),
            (
                &[("a", "127.0.0.1:0"), ("a", "127.0.0.1:0")],
                &[Some(1), None],
            ),
            (
                &[("c", "127.0.0.1:0"), ("a", "127.0.0.2:80")],
                &[None, None],
            ),
        ] {
            assert_eq!(kept(&named(wanted), &running), expected, "{wanted:?}");
        }
    }

    #[test]
    fn a_plan_that_fails_leaves_no_address_open() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = (taken.local_addr().unwrap(), taken);
        drop(free);
        let options = ListenOptions {
            http: vec![ListenerOptions::at(address)],
            https: vec![ListenerOptions::at(taken.0)],
            ..ListenOptions::default()
        };
        let plan = ListenerPlan::bind(&options, 2, &BoundListeners::default());
        assert!(plan.is_err());
        assert!(std::net::TcpListener::bind(address).is_ok());
    }
}
