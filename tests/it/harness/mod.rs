//! Peers of the tests: most are real servers and clients, some are scripted.

pub(crate) mod admin;
pub(crate) mod binary;
pub(crate) mod deadline;
pub(crate) mod full_pipe;
pub(crate) mod machine;
pub(crate) mod open_files;
pub(crate) mod output_lines;
pub(crate) mod ports;
pub(crate) mod process_status;
pub(crate) mod promtool;
pub(crate) mod proxy;
pub(crate) mod service;
pub(crate) mod skip;
pub(crate) mod stored_files;
pub(crate) mod successors;
pub(crate) mod wrong_clock;

pub(crate) mod backends {
    pub(crate) mod apache;
    pub(crate) mod grpc;
    pub(crate) mod h2_origin;
    pub(crate) mod nginx;
    pub(crate) mod node;
    pub(crate) mod origin;
    pub(crate) mod registry;
    pub(crate) mod web_app;
}

pub(crate) mod ca {
    pub(crate) mod http01;
    pub(crate) mod pebble;
    pub(crate) mod pki;
    pub(crate) mod scripted;
}

pub(crate) mod clients {
    pub(crate) mod front_proxy;
    pub(crate) mod http2_frames;
    pub(crate) mod http3;
    pub(crate) mod https;
    pub(crate) mod raw;
    pub(crate) mod udp_relay;
    pub(crate) mod web_socket;
}

pub(crate) mod crashes {
    pub(crate) mod crash_point;
    pub(crate) mod crashing_dns;
    pub(crate) mod crashing_storage;
}

pub(crate) mod traces {
    pub(crate) mod collector;
    mod protobuf;
    pub(crate) mod rotel;
    pub(crate) mod tls_front;
}

pub(crate) mod dns {
    pub(crate) mod bind;
    pub(crate) mod cloudflare;
    pub(crate) mod server;
}
