//! On which terms an upstream uses its backends, whichever they are.

use super::address::Address;
use super::connect::Dialer;
use super::means::Means;
use super::options::Options;
use super::tls::TlsError;

/// What is settled for all backends of one upstream, those of today and those that a name leads to later.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) options: Options,
    pub(super) means: Means,
    pub(super) dialer: Dialer,
}

impl Terms {
    /// Terms for these addresses. Reads what TLS needs if one of them is behind it.
    pub(super) fn new(
        addresses: &[Address],
        options: Options,
        means: &Means,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            dialer: Dialer::new(addresses, &options, means)?,
            means: means.clone(),
            options,
        })
    }

    /// Whether connections to `address` that were made on the other terms may serve these.
    pub(super) fn connect_like(&self, other: &Self, address: &Address) -> bool {
        let bare = |options: &Options| Options {
            balancing: Box::default(),
            ..options.clone()
        };
        bare(&self.options) == bare(&other.options)
            && self.dialer.trusts_like(&other.dialer, address)
    }
}
