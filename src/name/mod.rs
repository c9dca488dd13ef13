//! Host names, the patterns that match them, and the one lookup rule that SNI, Host and the configuration share. Knows no
//! room.

mod host_name;
mod host_pattern;
mod name_map;

pub use host_name::{HostName, NameError};
pub use host_pattern::HostPattern;
pub use name_map::NameMap;
