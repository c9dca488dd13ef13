//! Settings shared by all backends of one upstream, including those that DNS adds later.

use crate::upstream::address::Address;
use crate::upstream::exchange::Dialer;
use crate::upstream::options::{Options, UpstreamContext};
use crate::upstream::transport::TlsError;

/// Settings of one upstream, with the dialer that follows from them.
#[derive(Debug)]
pub(super) struct UpstreamSettings {
    pub(super) options: Options,
    pub(super) context: UpstreamContext,
    pub(super) dialer: Dialer,
}

impl UpstreamSettings {
    /// Settings for these addresses. Reads the files for TLS if one of the addresses needs it.
    pub(super) fn new(
        addresses: &[Address],
        options: Options,
        context: &UpstreamContext,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            dialer: Dialer::new(addresses, &options, context)?,
            context: context.clone(),
            options,
        })
    }

    /// `true` if connections to `address` that were opened with the `other` settings may serve these.
    pub(super) fn connects_like(&self, other: &Self, address: &Address) -> bool {
        let without_balancing = |options: &Options| Options {
            balancing: Box::default(),
            ..options.clone()
        };
        without_balancing(&self.options) == without_balancing(&other.options)
            && self.dialer.trusts_like(&other.dialer, address)
    }
}
