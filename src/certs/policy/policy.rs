//! The rules of one site, and the issuers that sign.

use std::sync::Arc;

use super::local_names::LocalNames;
use crate::certs::issuer::Issuer;
use crate::certs::on_demand::Ask;
use crate::name::{HostName, HostPattern};

/// Rules by which the names of one site get their certificates.
#[derive(Clone, Debug)]
pub struct Policy {
    site: HostPattern,
    ask: Option<Arc<Ask>>,
    issuer: Option<Arc<dyn Issuer>>,
    /// One certificate serves all names of the site.
    shares_certificate: bool,
}

impl Policy {
    /// A site whose name the configuration spells out, or a local wildcard that the internal CA signs for.
    #[must_use]
    pub fn configured(site: HostPattern) -> Self {
        Self {
            site,
            ask: None,
            issuer: None,
            shares_certificate: false,
        }
    }

    /// A wildcard site with one certificate for all its names, validated in DNS.
    #[must_use]
    pub fn wildcard(site: HostPattern) -> Self {
        Self {
            shares_certificate: true,
            ..Self::configured(site)
        }
    }

    /// A site whose names the ask endpoint allows one by one.
    #[must_use]
    pub fn on_demand(site: HostPattern, ask: Arc<Ask>) -> Self {
        Self {
            ask: Some(ask),
            ..Self::configured(site)
        }
    }

    /// Gives the site an issuer of its own, which signs instead of all others.
    #[must_use]
    pub fn issued_by(self, issuer: Arc<dyn Issuer>) -> Self {
        Self {
            issuer: Some(issuer),
            ..self
        }
    }

    /// The site's own issuer.
    #[must_use]
    pub fn own_issuer(&self) -> Option<&Arc<dyn Issuer>> {
        self.issuer.as_ref()
    }

    /// The ask endpoint that allows the names of an on-demand site.
    #[must_use]
    pub fn ask(&self) -> Option<&Arc<Ask>> {
        self.ask.as_ref()
    }

    /// The name or pattern whose certificate is obtained at the start and renewed from then on. `None` if the site's names
    /// become known only through handshakes.
    #[must_use]
    pub fn managed(&self) -> Option<&HostPattern> {
        let is_spelled = matches!(self.site, HostPattern::Exact(_)) && self.ask.is_none();
        (is_spelled || self.shares_certificate).then_some(&self.site)
    }

    /// `true` if certificates are stored. Those that the internal CA signs for any label of a local wildcard are not:
    /// a scanner could fill the disk with them.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.ask.is_some() || self.managed().is_some()
    }

    /// The subject of the certificate that serves `name`: the site's pattern if all its names share one certificate, else
    /// the name itself.
    #[must_use]
    pub(crate) fn subject(&self, name: &HostName) -> HostPattern {
        if self.shares_certificate {
            self.site.clone()
        } else {
            HostPattern::Exact(name.clone())
        }
    }

    /// The subject of the certificate that serves a name or pattern of the site.
    #[must_use]
    pub fn subject_of(&self, pattern: &HostPattern) -> HostPattern {
        match pattern {
            HostPattern::Exact(name) => self.subject(name),
            pattern => pattern.clone(),
        }
    }

    /// `true` if a certificate of the site has exactly this subject.
    #[must_use]
    pub(crate) fn signs_for(&self, subject: &HostPattern) -> bool {
        match subject {
            HostPattern::Exact(name) => self.subject(name) == *subject,
            pattern => self.managed() == Some(pattern),
        }
    }
}

/// The issuers that can sign.
#[derive(Clone, Debug)]
pub struct Issuers {
    /// The configured issuers, tried in this order.
    pub public: Vec<Arc<dyn Issuer>>,
    /// The internal CA, which signs local names unless all the others are private.
    pub internal: Arc<dyn Issuer>,
}

impl Issuers {
    /// Returns the issuers that may sign for `subject`, in the order in which they are tried.
    #[must_use]
    pub fn for_subject<'a>(
        &'a self,
        subject: &HostPattern,
        policy: &'a Policy,
    ) -> &'a [Arc<dyn Issuer>] {
        match &policy.issuer {
            Some(issuer) => std::slice::from_ref(issuer),
            None if self.local_names().are_internal(subject) => {
                std::slice::from_ref(&self.internal)
            }
            None => &self.public,
        }
    }

    /// Returns who signs local names.
    fn local_names(&self) -> LocalNames {
        LocalNames::decide(self.public.iter().map(|issuer| issuer.is_public()))
    }

    /// Returns the operator's name for the issuer with this id, or the id itself if no configured issuer has it.
    #[must_use]
    pub fn name_of<'a>(&'a self, id: &'a str) -> &'a str {
        let known = self.public.iter().chain([&self.internal]);
        let known = known.map(|issuer| &**issuer);
        let mut known = known.flat_map(|issuer| [Some(issuer), issuer.staging()]);
        let found = known.find_map(|issuer| issuer.filter(|issuer| issuer.id() == id));
        found.map_or(id, Issuer::name)
    }
}
