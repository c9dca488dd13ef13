//! Settings of on-demand issuance.

use url::Url;

/// Settings of the ask endpoint for on-demand names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDemandOptions {
    /// The endpoint, asked as `GET ask?domain=NAME`. Status 200 allows the name, anything else refuses it.
    pub ask: Url,
    /// Number of new names an hour for which one client network may have the endpoint asked.
    pub names_per_network: u16,
    /// Number of new names an hour that are allowed in total.
    pub names_per_hour: u16,
}

impl OnDemandOptions {
    /// Settings with the default limits.
    #[must_use]
    pub fn new(ask: Url) -> Self {
        Self {
            ask,
            names_per_network: 20,
            names_per_hour: 600,
        }
    }
}
