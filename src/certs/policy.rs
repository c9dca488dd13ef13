//! Which names may have a certificate, and how each gets it.

use std::sync::Arc;

use super::issuer::Issuer;
use super::on_demand::Ask;
use crate::name::{HostName, HostPattern};

/// How the names of one site get their certificates.
#[derive(Clone, Debug)]
pub struct Policy {
    site: HostPattern,
    ask: Option<Arc<Ask>>,
}

impl Policy {
    /// A site whose name is spelled out, or a local wildcard that the internal CA serves.
    #[must_use]
    pub fn configured(site: HostPattern) -> Self {
        Self { site, ask: None }
    }

    /// A site whose names are allowed one by one.
    #[must_use]
    pub fn on_demand(site: HostPattern, ask: Arc<Ask>) -> Self {
        Self {
            site,
            ask: Some(ask),
        }
    }

    /// The gate before issuance, when there is one.
    #[must_use]
    pub fn ask(&self) -> Option<&Ask> {
        self.ask.as_deref()
    }

    /// The name whose certificate is kept up from the start, when the site spells one out.
    #[must_use]
    pub fn managed(&self) -> Option<&HostPattern> {
        match (&self.site, &self.ask) {
            (HostPattern::Exact(_), None) => Some(&self.site),
            _ => None,
        }
    }

    /// Whether certificates are kept over restarts. Those that the internal CA makes for any label
    /// of a local wildcard are not: a scanner could fill the disk with them.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.ask.is_some() || matches!(self.site, HostPattern::Exact(_))
    }
}

/// The two CAs that a name can go to.
#[derive(Clone, Debug)]
pub struct Issuers {
    /// Signs names that everybody can reach.
    pub public: Arc<dyn Issuer>,
    /// Signs local names.
    pub internal: Arc<dyn Issuer>,
}

impl Issuers {
    /// Who signs for `subject`.
    #[must_use]
    pub fn for_subject(&self, subject: &HostPattern) -> &Arc<dyn Issuer> {
        match subject.is_local() {
            true => &self.internal,
            false => &self.public,
        }
    }
}

/// What a certificate is asked for: the name itself, whichever pattern its site has.
#[must_use]
pub(super) fn subject(name: &HostName) -> HostPattern {
    HostPattern::Exact(name.clone())
}
