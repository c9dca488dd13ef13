//! The checks of `proxy doctor`: one by one, whether what must hold does. A running proxy makes them in its own process, since
//! only there its sockets, its user and its limits are known.
//!
//! ```text
//! doctor -> { configuration_check, name_checks -> udp_probe, backend_checks, ca_checks, collector_check, machine_checks }
//!     -> { check_context, subject }
//! ```

mod backend_checks;
mod ca_checks;
mod check_context;
mod collector_check;
mod configuration_check;
mod doctor;
mod machine_checks;
mod name_checks;
mod subject;
mod udp_probe;

pub(super) use check_context::RunningProxy;
pub(super) use doctor::{Doctor, DoctorParts};
pub(super) use subject::{Subject, subjects};
