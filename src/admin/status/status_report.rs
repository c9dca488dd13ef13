//! Puts the status together.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::certificate_status::ListedNames;
use super::status::{
    CertificateCounts, HandshakeCount, ProtocolStatus, RefusalCount, SiteTraffic, Status,
    UpstreamTraffic,
};
use crate::admin::error::Error;
use crate::admin::named_upstream::{upstreams, upstreams_of};
use crate::admin::stats::Stats;
use crate::certs::CertManager;
use crate::figures::HandshakeResult;
use crate::name::HostPattern;
use crate::proxy::{Router, Site};

/// Most names that the status lists.
const LISTED_NAMES: usize = 200;

/// The status of a running proxy, or of one of its sites.
#[derive(Debug)]
pub(in crate::admin) struct StatusReport {
    stats: Stats,
}

impl StatusReport {
    /// Reports on the proxy with these statistics.
    pub(in crate::admin) fn new(stats: Stats) -> Self {
        Self { stats }
    }

    /// Returns the status of the whole proxy. Takes a while if there are many names.
    pub(in crate::admin) async fn whole(self) -> Result<Status, Error> {
        let names = ListedNames::all(&self.stats.manager, LISTED_NAMES).await;
        // Off this runtime, which must answer challenges on port 80 meanwhile.
        let status = spawn_blocking(move || {
            let router = self.stats.current_router.snapshot();
            Status {
                site_traffic: router.sites().iter().map(SiteTraffic::of).collect(),
                upstreams: upstreams(&router)
                    .into_iter()
                    .map(UpstreamTraffic::of)
                    .collect(),
                names: names.names,
                names_left_out: names.left_out,
                ..Status::of_process(&self.stats)
            }
        });
        status.await.map_err(Error::Abandoned)
    }

    /// Returns the status with the site that has or serves this name, and no other one.
    pub(in crate::admin) async fn of_site(self, name: HostPattern) -> Result<Status, Error> {
        let router = self.stats.current_router.snapshot();
        let site = site_of(&router, &name).ok_or_else(|| Error::NoSite(name.clone()))?;
        let manager = &self.stats.manager;
        let names = ListedNames::of(names_of(site, name, manager), manager).await;
        let mut known = HashSet::new();
        let upstreams =
            upstreams_of(site).filter(|named| known.insert(Arc::as_ptr(&named.upstream)));
        Ok(Status {
            site_traffic: vec![SiteTraffic::of(site)],
            upstreams: upstreams.map(UpstreamTraffic::of).collect(),
            names,
            ..Status::of_process(&self.stats)
        })
    }
}

/// Returns the site with this pattern, or the one that serves this host.
fn site_of<'r>(router: &'r Router, name: &HostPattern) -> Option<&'r Site> {
    router.get(name).or_else(|| match name {
        HostPattern::Exact(host) => router.site(host.as_str()),
        HostPattern::Wildcard(_) | HostPattern::Any => None,
    })
}

/// Returns the subjects of the certificates that serve a site and this name of it.
fn names_of(site: &Site, name: HostPattern, manager: &CertManager) -> Vec<HostPattern> {
    let mut subjects = Vec::new();
    let patterns = std::iter::once(&site.pattern).chain(&site.aliases).cloned();
    for pattern in patterns.chain([name]) {
        let subject = manager.subject_of(&pattern);
        if subject != HostPattern::Any && !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    subjects
}

impl Status {
    /// Returns what concerns the whole process.
    pub(in crate::admin) fn of_process(stats: &Stats) -> Self {
        let certificates = stats.manager.stats();
        let refusals = stats.refusals.by_reason().into_iter();
        let refusals = refusals.map(|(reason, count)| RefusalCount {
            reason: reason.word().to_owned(),
            count,
        });
        let protocols = stats.figures.protocols().map(|count| ProtocolStatus {
            protocol: count.protocol.word().to_owned(),
            open: count.open,
            total: count.total,
        });
        let handshakes = stats.figures.handshakes();
        let handshakes = handshakes.map(|(handshake, count)| HandshakeCount {
            version: handshake.version.to_owned(),
            result: match handshake.result {
                HandshakeResult::Full => "full".to_owned(),
                HandshakeResult::Resumed => "resumed".to_owned(),
                HandshakeResult::Failed => "failed".to_owned(),
            },
            count,
        });
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: stats.started.elapsed().as_secs(),
            listeners: stats.listeners.load().to_vec(),
            sites: stats.current_router.snapshot().count(),
            connections: stats.connections(),
            protocols: protocols.into(),
            handshakes: handshakes.into(),
            certificates: CertificateCounts {
                in_memory: certificates.in_memory,
                names: certificates.names,
                names_without: certificates.without,
                expired: certificates.expired,
            },
            refusals: refusals.collect(),
            ..Self::default()
        }
    }
}
