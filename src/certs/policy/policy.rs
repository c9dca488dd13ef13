//! Which names may have a certificate, and how each gets it.

use std::sync::Arc;

use crate::certs::budget::Held;
use crate::certs::issuer::Issuer;
use crate::certs::on_demand::Ask;
use crate::name::{HostName, HostPattern};

/// How the names of one site get their certificates.
#[derive(Clone, Debug)]
pub struct Policy {
    site: HostPattern,
    ask: Option<Arc<Ask>>,
    issuer: Option<Arc<dyn Issuer>>,
    /// One certificate serves all names of the site.
    is_whole: bool,
}

impl Policy {
    /// A site whose name is spelled out, or a local wildcard that the internal CA serves.
    #[must_use]
    pub fn configured(site: HostPattern) -> Self {
        Self {
            site,
            ask: None,
            issuer: None,
            is_whole: false,
        }
    }

    /// A wildcard site that is proved in DNS, with one certificate for all its names.
    #[must_use]
    pub fn wildcard(site: HostPattern) -> Self {
        Self {
            site,
            ask: None,
            issuer: None,
            is_whole: true,
        }
    }

    /// A site whose names are allowed one by one.
    #[must_use]
    pub fn on_demand(site: HostPattern, ask: Arc<Ask>) -> Self {
        Self {
            site,
            ask: Some(ask),
            issuer: None,
            is_whole: false,
        }
    }

    /// The same with an issuer of its own, which signs whatever the others would.
    #[must_use]
    pub fn issued_by(self, issuer: Arc<dyn Issuer>) -> Self {
        Self {
            issuer: Some(issuer),
            ..self
        }
    }

    /// The issuer that the site has for itself.
    #[must_use]
    pub fn own_issuer(&self) -> Option<&Arc<dyn Issuer>> {
        self.issuer.as_ref()
    }

    /// The gate before issuance, when there is one.
    #[must_use]
    pub fn ask(&self) -> Option<&Ask> {
        self.ask.as_deref()
    }

    /// The same, to go on with under another policy.
    #[must_use]
    pub fn shared_ask(&self) -> Option<&Arc<Ask>> {
        self.ask.as_ref()
    }

    /// What a certificate is kept up for from the start, when the site says it.
    #[must_use]
    pub fn managed(&self) -> Option<&HostPattern> {
        let is_spelled = matches!(self.site, HostPattern::Exact(_)) && self.ask.is_none();
        (is_spelled || self.is_whole).then_some(&self.site)
    }

    /// Whether certificates are kept over restarts. Those that the internal CA makes for any label
    /// of a local wildcard are not: a scanner could fill the disk with them.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.ask.is_some() || self.managed().is_some()
    }

    /// What a certificate is asked for when `name` is: the name itself, but for a site that has one certificate for all.
    #[must_use]
    pub(crate) fn subject(&self, name: &HostName) -> HostPattern {
        if self.is_whole {
            self.site.clone()
        } else {
            HostPattern::Exact(name.clone())
        }
    }

    /// Whether certificates of the site are for just this, and not for more or for less.
    #[must_use]
    pub(crate) fn signs_for(&self, subject: &HostPattern) -> bool {
        match subject {
            HostPattern::Exact(name) => self.subject(name) == *subject,
            pattern => self.managed() == Some(pattern),
        }
    }
}

/// The CAs that a name can go to.
#[derive(Clone, Debug)]
pub struct Issuers {
    /// Sign names that everybody can reach; tried in this order.
    pub public: Vec<Arc<dyn Issuer>>,
    /// Signs local names.
    pub internal: Arc<dyn Issuer>,
}

impl Issuers {
    /// Who may sign for `subject`, in the order in which they are tried.
    #[must_use]
    pub fn for_subject<'a>(
        &'a self,
        subject: &HostPattern,
        policy: &'a Policy,
    ) -> &'a [Arc<dyn Issuer>] {
        match &policy.issuer {
            Some(issuer) => std::slice::from_ref(issuer),
            None if subject.is_local() => std::slice::from_ref(&self.internal),
            None => &self.public,
        }
    }

    /// Returns what the operator calls the issuer with this id; the id where no issuer has it any more.
    #[must_use]
    pub fn name_of<'a>(&'a self, id: &'a str) -> &'a str {
        let known = self.public.iter().chain([&self.internal]);
        let known = known.map(|issuer| &**issuer);
        let mut known = known.flat_map(|issuer| [Some(issuer), issuer.staging()]);
        let found = known.find_map(|issuer| issuer.filter(|issuer| issuer.id() == id));
        found.map_or(id, Issuer::name)
    }

    pub(crate) fn named_held(&self, mut held: Held) -> Held {
        let (Held::Spent { issuer, .. } | Held::Closed { issuer, .. }) = &mut held;
        *issuer = self.name_of(issuer).to_owned();
        held
    }
}
