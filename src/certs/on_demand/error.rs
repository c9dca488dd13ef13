//! Reasons why a name that nobody configured gets no certificate.

use std::time::Duration;

use url::Url;

use super::new_name_limit::Network;

/// Reasons why a name is not allowed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The client for the question could not be built.
    #[error("the client for the ask endpoint cannot be built: {0}")]
    Client(reqwest::Error),
    /// The endpoint gave no answer.
    #[error(
        "the ask endpoint {url} gave no answer: {}; no new name is allowed before it does",
        root_of(source)
    )]
    Unreachable {
        /// The endpoint.
        url: Url,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// The endpoint could not make up its mind.
    #[error(
        "the ask endpoint {url} failed with status {status}; no new name is allowed before it works again"
    )]
    Failing {
        /// The endpoint.
        url: Url,
        /// Its answer.
        status: u16,
    },
    /// The endpoint answered anything else but 200.
    #[error("the ask endpoint {url} refuses it with status {status}")]
    Refused {
        /// The endpoint.
        url: Url,
        /// Its answer.
        status: u16,
    },
    /// The clients of one network have asked for many names.
    #[error(
        "the clients of {network} have asked for {limit} new names within an hour; the next one is let in after {}; \
         a network that needs more gets it by names-per-network",
        humantime::format_duration(Duration::from_secs(.wait.as_secs() + 1))
    )]
    TooManyFromNetwork {
        /// The network.
        network: Network,
        /// How many it may ask for.
        limit: u16,
        /// How long until the next one.
        wait: Duration,
    },
    /// Many names have been allowed.
    #[error(
        "{limit} new names were allowed within an hour; the next one is let in after {}; \
         a busier site gets more by names-per-hour",
        humantime::format_duration(Duration::from_secs(.wait.as_secs() + 1))
    )]
    TooMany {
        /// How many are let in.
        limit: u16,
        /// How long until the next one.
        wait: Duration,
    },
}

/// The cause at the bottom, which says more than the words around it.
fn root_of(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

impl AskError {
    /// Whether the endpoint could not answer: it has not said no.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Failing { .. })
    }
}
