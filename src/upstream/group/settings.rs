//! Settings shared by all backends of one upstream, including those that DNS adds later.

use crate::upstream::address::Address;
use crate::upstream::exchange::Dialer;
use crate::upstream::options::{Options, UpstreamContext};
use crate::upstream::transport::TlsError;

/// Settings of one upstream, and the dialer that is built from them.
#[derive(Debug)]
pub(super) struct UpstreamSettings {
    pub(super) options: Options,
    pub(super) context: UpstreamContext,
    pub(super) dialer: Dialer,
}

impl UpstreamSettings {
    /// Settings for these addresses. Blocks while it reads the files for TLS, if one of the addresses needs them.
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

    /// `true` if both settings may share connections to `address`.
    pub(super) fn shares_connections(&self, other: &Self, address: &Address) -> bool {
        let without_balancing = |options: &Options| Options {
            balancing: Box::default(),
            ..options.clone()
        };
        without_balancing(&self.options) == without_balancing(&other.options)
            && self.dialer.has_same_tls(&other.dialer, address)
    }
}
