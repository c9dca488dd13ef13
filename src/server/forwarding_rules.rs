//! Whose word about clients is believed, and what backends are told of it. The same for plain HTTP and HTTPS.

use std::sync::Arc;

use super::accept::ConnectionSlot;
use crate::proxy::{ConnInfo, TrustedProxies};

/// Rules for the facts about clients.
#[derive(Clone, Debug, Default)]
pub struct ForwardingRules {
    /// The peers whose forwarding headers are believed.
    pub trust: Arc<TrustedProxies>,
    /// Whether backends get the field `Forwarded` too.
    pub has_forwarded: bool,
}

impl ForwardingRules {
    /// Applies the rules to the facts of a connection, whose peer is one of the trusted ones or not.
    pub(super) fn apply(
        &self,
        mut conn: ConnInfo,
        is_trusted: bool,
        slot: &ConnectionSlot,
    ) -> ConnInfo {
        if is_trusted {
            conn = conn.trusting(Arc::clone(&self.trust));
        }
        if self.has_forwarded {
            conn = conn.with_forwarded();
        }
        if let Some(share) = &slot.shares().backends {
            conn = conn.sharing(Arc::clone(share));
        }
        conn
    }
}
