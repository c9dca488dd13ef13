//! The status of a running proxy: its form on the admin socket, and how it is put together.

mod certificate_status;
mod status;
mod status_report;
mod traffic;

pub use status::{
    BackendLine, CertificateCounts, CertificateStatus, CheckLine, HandshakeCount, ListenerStatus,
    ProtocolStatus, RefusalCount, SiteTraffic, Status, UpstreamTraffic,
};

pub(super) use certificate_status::ListedNames;
pub(super) use status_report::StatusReport;
