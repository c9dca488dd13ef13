//! On-demand certificates: names that the configuration does not spell out, allowed by the operator's ask endpoint and
//! limited in number.

mod ask;
mod ask_cache;
mod error;
mod new_name_limit;
mod options;

pub use ask::Ask;
pub use error::AskError;
pub use new_name_limit::Network;
pub use options::OnDemandOptions;
