//! Upstreams: groups of backends and the connections to them. Knows hosts and bytes; must not know routes or the
//! certificates of sites.

mod address;
mod backend;
mod balance;
mod body;
mod certificate_fix;
mod connection;
mod dns;
mod error;
mod exchange;
mod group;
mod options;
mod other_protocol;
mod srv_name;
mod transport;

pub use address::{Address, AddressError, Protocol};
pub use backend::{
    Backend, BackendState, BackendStatus, BackendTotals, ClientShare, InFlight, LastCheck,
};
pub use balance::is_cookie_name;
pub use body::{
    BoxedBody, BufferedBody, ClientBody, ExpectContinue, Http1Body, Interims, ProgressTimeout,
    RequestBody, StreamBody, is_client_field, listen_for_interims, never_passes,
    remove_all_spellings, remove_other_spellings, remove_unpassable,
};
pub use dns::Resolver;
pub use error::{BodyError, Error};
pub use exchange::{BoundConnections, ResponseBody, has_connection_login};
pub use group::{BackendProbe, Caller, Upstream, UpstreamStatus};
pub use options::{
    BackendHost, BalanceMethod, BalanceMethodError, BalanceOptions, CookieKey, HeaderCase,
    HealthOptions, HttpOptions, HttpVersion, Options, Share, StatusRange, StatusRangeError,
    UpstreamContext,
};
pub use transport::{
    ClientAddresses, IdentityFiles, ListenAddresses, SendProxy, ServerNameSource, SystemRoots,
    TlsError, TlsOptions, is_listener,
};
