//! The part of the status about certificates.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use super::status::CertificateStatus;
use crate::admin::name_state::NameState;
use crate::admin::response::time;
use crate::certs::{CertManager, Standing};
use crate::name::HostPattern;

/// The names that the status lists.
#[derive(Debug)]
pub(in crate::admin) struct ListedNames {
    pub(in crate::admin) names: Vec<CertificateStatus>,
    pub(in crate::admin) left_out: usize,
}

/// Starts of the validity of certificates in memory.
type Starts = HashMap<HostPattern, SystemTime>;

impl ListedNames {
    /// Lists up to `limit` names: those without a certificate, those that back off, and then those whose certificates expire
    /// next.
    pub(in crate::admin) async fn all(manager: &CertManager, limit: usize) -> Self {
        let back_offs = manager.back_offs(limit).await;
        let failing = back_offs.into_iter().map(|(name, _)| name);
        let mut wanted = wanted(manager, failing.collect());
        let left_out = wanted.len().saturating_sub(limit);
        wanted.truncate(limit);
        Self {
            names: Self::of(wanted, manager).await,
            left_out,
        }
    }

    /// Lists these names.
    pub(super) async fn of(
        names: Vec<HostPattern>,
        manager: &CertManager,
    ) -> Vec<CertificateStatus> {
        let mut listed = Vec::with_capacity(names.len());
        let starts = starts(manager);
        for name in names {
            let standing = manager.standing_of(&name).await;
            let mut status = CertificateStatus::new(&name, &standing);
            status.not_before = starts.get(&name).copied().map(time);
            listed.push(status);
        }
        listed.sort_by_key(|name| !name.needs_attention);
        listed
    }
}

fn starts(manager: &CertManager) -> Starts {
    let served = manager.next_ends(usize::MAX).into_iter();
    served.map(|end| (end.name, end.not_before)).collect()
}

/// Returns all names, the most important ones first.
fn wanted(manager: &CertManager, failing: Vec<HostPattern>) -> Vec<HostPattern> {
    let served = manager.next_ends(usize::MAX).into_iter();
    let served: Vec<_> = served.map(|end| end.name).collect();
    let mut known: HashSet<_> = served.iter().cloned().collect();
    let configured = manager.configured().into_iter();
    let own = configured.filter(|name| manager.subject_of(name) == *name);
    let missing: Vec<_> = own.filter(|name| !known.contains(name)).collect();
    known.clear();
    let all = missing.into_iter().chain(failing).chain(served);
    all.filter(|name| known.insert(name.clone())).collect()
}

impl CertificateStatus {
    fn new(name: &HostPattern, standing: &Standing) -> Self {
        let state = NameState::live(standing, None);
        let mut status = Self {
            name: name.to_string(),
            state: state.word.to_owned(),
            standing: state.sentence,
            ..Self::default()
        };
        status.needs_attention = match standing {
            Standing::Served {
                issuer,
                not_after,
                renew_at,
                last_error,
                ..
            } => {
                status.issuer = Some(issuer.clone()).filter(|issuer| !issuer.is_empty());
                status.not_after = Some(time(*not_after));
                status.renew_at = Some(time(*renew_at));
                last_error.is_some() || state.word != "served"
            }
            Standing::FromFiles { not_after, .. } => {
                status.not_after = not_after.map(time);
                false
            }
            Standing::Waiting { .. } => false,
            Standing::Ordering
            | Standing::BackingOff { .. }
            | Standing::Held { .. }
            | Standing::Refused { .. } => true,
        };
        status
    }
}
