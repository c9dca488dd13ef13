//! Settings of on-demand issuance.

use url::Url;

/// The gate before issuance for a name that the configuration does not spell out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDemandOptions {
    /// Asked as `GET ask?domain=NAME`; 200 allows, anything else refuses.
    pub ask: Url,
    /// For how many new names an hour the endpoint is asked on behalf of one client network.
    pub names_per_network: u16,
    /// How many new names are let in an hour after a yes.
    pub names_per_hour: u16,
}

impl OnDemandOptions {
    /// A gate with the default bounds.
    #[must_use]
    pub fn new(ask: Url) -> Self {
        Self {
            ask,
            names_per_network: 20,
            names_per_hour: 600,
        }
    }
}
