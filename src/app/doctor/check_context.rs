//! The parts that the checks of names look at.

use crate::admin::ListenerStatus;
use crate::certs::preflight::{Preflight, TlsReach};
use crate::certs::{CertManager, CertificateStore, Ruleset};
use crate::config::{Config, ConfigFile};

/// The parts that the checks of names look at.
#[derive(Debug)]
pub(super) struct CheckContext {
    pub(super) config: Config,
    pub(super) rules: Ruleset,
    pub(super) records: CertificateStore,
    pub(super) preflight: Preflight,
    pub(super) tls: TlsReach,
    /// The running proxy, if there is one.
    pub(super) running: Option<RunningProxy>,
}

/// Parts that only a running proxy has.
#[derive(Debug)]
pub(in crate::app) struct RunningProxy {
    pub(in crate::app) manager: CertManager,
    pub(in crate::app) listeners: Vec<ListenerStatus>,
    /// Its Proxyfile; `None` if it runs from flags alone.
    pub(in crate::app) file: Option<ConfigFile>,
}
