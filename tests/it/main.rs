//! Integration tests in one binary: a folder for each tower or topic, a file for each behaviour.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

/// From a name to the certificate that is served.
mod certificates {
    mod acme {
        mod faults;
        mod pebble;
    }
    mod challenges {
        mod dns01;
        mod dns_lookups;
        mod tls_alpn;
    }
    mod issuance {
        mod first_certificate;
        mod internal_ca;
        mod issuers;
        mod on_demand;
        mod preflight;
        mod wildcards;
    }
    mod orders {
        mod faults;
        mod kills;
        mod resume;
    }
    mod failures {
        mod budgets;
        mod ca_faults;
        mod simulated_month;
    }
    mod renewal {
        mod ari;
    }
    mod file_pairs;
    mod import;
    mod on_cert;
}

/// From a request to its response.
mod requests {
    mod framing {
        mod framing;
        mod smuggling;
    }
    mod client_address {
        mod forwarded_for;
        mod proxy_protocol;
    }
    mod routing {
        mod routes;
    }
    mod guards {
        mod forward_auth;
        mod guards;
        mod rate_limit;
    }
    mod forwarding {
        mod expect_continue;
        mod forwarding;
        mod header_changes;
        mod interim_responses;
        mod large_bodies;
        mod streams;
    }
    mod websocket {
        mod http1;
        mod http2;
        mod tls;
    }
    mod responses {
        mod compression;
        mod error_pages;
        mod features_combined;
        mod files;
    }
    mod browser;
}

/// The backends of upstreams.
mod upstreams {
    mod balancing;
    mod check_transports;
    mod dns;
    mod faults;
    mod health;
    mod http2;
    mod loops;
    mod srv;
    mod tls;
    mod unix_socket;
}

/// Handshakes.
mod tls {
    mod client_certificates;
    mod handshake;
    mod versions;
}

/// Listeners and connections.
mod server {
    mod ip_families;
    mod limits;
    mod plain_http;
}

/// Commands, reloads, logs and metrics.
mod operation {
    mod cli {
        mod certs;
        mod commands;
        mod fmt;
        mod status;
        mod trust;
    }
    mod access_log;
    mod admin_socket;
    mod metrics;
    mod proxyfile;
    mod refusal_counters;
    mod reload;
    mod shutdown;
}
