//! Certificates for names that nobody configured: allowed by an endpoint of the operator, bounded in number.

mod ask;
mod ask_cache;
mod error;
mod new_name_limit;
mod options;

pub use ask::Ask;
pub use error::AskError;
pub use new_name_limit::Network;
pub use options::OnDemandOptions;
