//! The head of a request: its connection, its host, its framing, the fields that are not forwarded, and those about the
//! client.

mod client_address;
mod client_certificate;
mod conn_info;
mod context;
pub(super) mod forwarded;
mod forwarded_field;
pub(super) mod framing;
mod header_scan;
pub(super) mod hop_by_hop;
pub(super) mod host;
pub(super) mod request_id;
mod request_observer;
mod target;
mod template;
mod trusted_proxies;

pub use client_certificate::{ClientCertificate, ClientIdentity, ClientPolicy};
pub use conn_info::ConnInfo;
pub(super) use context::RequestContext;
pub(super) use header_scan::{Fields, HeaderScan, list_elements, single_field};
pub(super) use request_id::{REQUEST_ID, RequestIds};
pub use request_observer::{DirectResponse, RequestObserver};
pub use target::{PathPrefix, PrefixError, checked_target};
pub use template::PlaceholderError;
pub(super) use template::Template;
pub use trusted_proxies::TrustedProxies;
