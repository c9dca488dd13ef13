//! Parts of the process beside the proxy that runs in it: signals, the log, privileges, limits, the service manager, files
//! that it watches. Knows no part of the proxy.

pub(super) mod file_watch;
pub(super) mod logging;
pub(super) mod open_file_limit;
pub(super) mod privileges;
pub(super) mod service_manager;
pub(super) mod signals;
