//! Integration tests in one binary: a folder for each tower or topic, a file for each behaviour.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

/// From a name to the certificate that is served.
mod certificates {
    mod acme {
        mod faults;
        mod odd_answers;
        mod odd_services;
        mod order_states;
        mod pebble;
        mod scene;
    }
    mod challenges {
        mod dns01;
        mod dns_lookups;
        mod dns_providers;
        mod tls_alpn;
    }
    mod issuance {
        mod accounts;
        mod before_the_order;
        mod first_certificate;
        mod internal_ca;
        mod issuers;
        mod on_demand;
        mod one_value_hook;
        mod preflight;
        mod revocation;
        mod scene;
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
        mod forgotten_accounts;
        mod log_lines;
        mod simulated_month;
        mod wrong_clocks;
    }
    mod renewal {
        mod ari;
    }
    mod import {
        mod fixtures;
        mod layouts;
        mod other_programs;
        mod pem_folders;
        mod storing;
    }
    mod file_pairs;
    mod on_cert;
}

/// From a request to its response.
mod requests {
    mod framing {
        mod fixtures;
        mod http1;
        mod http2;
        mod smuggling;
        mod targets;
    }
    mod client_address {
        mod forwarded_for;
        mod proxy_protocol;
    }
    mod routing {
        mod hosts;
        mod routes;
    }
    mod guards {
        mod forward_auth;
        mod guards;
        mod rate_limit;
        mod route_guards;
    }
    mod forwarding {
        mod bodies;
        mod expect_continue;
        mod header_changes;
        mod heads;
        mod interim_responses;
        mod large_bodies;
        mod stalled_streams;
        mod streams;
    }
    mod websocket {
        mod http1;
        mod http2;
        mod other_protocols;
        mod tls;
    }
    mod responses {
        mod compressed_files;
        mod compression;
        mod error_pages;
        mod files;
        mod fixtures;
        mod refusals;
    }
    mod browser;
}

/// The backends of upstreams.
mod upstreams {
    mod compatibility {
        mod backend_host;
        mod connection_logins;
        mod git;
        mod old_backends;
        mod old_certificates;
        mod registry;
        mod request_buffer;
        mod webdav;
    }
    mod http2 {
        mod fixtures;
        mod grpc;
        mod sessions;
        mod uploads;
    }
    mod backend_choice;
    mod bad_responses;
    mod balancing;
    mod check_transports;
    mod client_aborts;
    mod connection_pool;
    mod dns;
    mod fixtures;
    mod health;
    mod loops;
    mod retries;
    mod srv;
    mod timeouts;
    mod tls;
    mod tls_port;
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
    mod http3 {
        mod connections;
        mod early_data;
        mod limits;
        mod other_stack;
        mod requests;
    }
    mod client_shares;
    mod ip_families;
    mod limits;
    mod lingering_close;
    mod listener_reload;
    mod listeners;
    mod memory_bounds;
    mod plain_http;
    mod plain_sites;
    mod resets;
    mod stream_memory;
}

/// Commands, reloads, logs and metrics.
mod operation {
    mod cli {
        mod browser_stores;
        mod certs;
        mod commands;
        mod fmt;
        mod machine;
        mod process;
        mod reference;
        mod status;
        mod trust;
    }
    mod access_log {
        mod fixtures;
        mod lines;
        mod log_file;
    }
    mod doctor {
        mod causes;
        mod command;
        mod example;
        mod rehearse;
        mod scene;
    }
    mod page {
        mod access;
        mod browser;
        mod client_limits;
        mod events;
        mod lifetime;
        mod visitor;
    }
    mod reload {
        mod certificates;
        mod errors;
        mod fixtures;
        mod listeners;
        mod swaps;
        mod upstreams;
        mod watched_files;
    }
    mod tracing {
        mod context;
        mod export;
        mod fixtures;
        mod spans;
    }
    mod upgrade {
        mod challenges;
        mod failures;
        mod handover;
        mod privileges;
        mod service_manager;
        mod socket_activation;
    }
    mod packages {
        mod debian;
        mod first_steps;
        mod image;
    }
    mod admin_socket;
    mod figures;
    mod log;
    mod metrics;
    mod monitoring;
    mod no_roots;
    mod problems;
    mod proxyfile;
    mod refusal_counters;
    mod shutdown;
    mod unread_output;
}
