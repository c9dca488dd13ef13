//! Parsers for single values of Proxyfiles and flags. Knows no `Config`.

mod acme_directory;
mod data_directory;
mod email;
mod listen_address;
mod log_options;
mod otel_variables;
mod path;
mod problem_receiver;
mod resolver_name;
mod secret_reference;
mod storage_url;
mod trusted_peer;
mod units;
mod user_name;
mod web_url;

pub(crate) use acme_directory::{Directory, INTERNAL, external_account};
pub(crate) use email::parse_email;
pub(crate) use listen_address::{
    parse_listener, parse_listener_name, parse_own_listen, read_listen, read_own_listen,
};
pub(crate) use log_options::{LOG_FORMATS, LOG_LEVELS};
pub use log_options::{LogFormat, LogOptions};
pub(crate) use otel_variables::OtelVariables;
pub(crate) use path::command_path;
pub use problem_receiver::{ProblemReceiver, Webhook};
pub(crate) use resolver_name::{ResolverName, parse_resolver};
pub use secret_reference::{SecretText, hash_password};
pub(crate) use secret_reference::{is_reference, read_flag_secret, read_secret};
pub use storage_url::StorageUrl;
pub(crate) use trusted_peer::parse_peer;
pub use trusted_peer::{Cdn, TrustedPeer};
pub(crate) use units::{
    format_size, parse_count, parse_head_size, parse_size, read_duration, read_status,
};
pub(crate) use user_name::parse_user;
pub(crate) use web_url::{parse_ask, parse_collector, parse_web_url};
