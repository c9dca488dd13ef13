//! One request to each backend of an upstream, to find out whether it answers.

use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use tokio::time::timeout;

use super::health_check::HealthCheck;
use super::upstream::Upstream;
use crate::upstream::address::Address;
use crate::upstream::error::Error;
use crate::upstream::options::HealthOptions;

/// Answer of one backend.
#[derive(Debug)]
pub struct BackendProbe {
    /// The backend.
    pub address: Address,
    /// Status of its response, which may be any.
    pub answer: Result<StatusCode, Error>,
}

impl Upstream {
    /// Sends the request of this health check to each backend over a new connection. Each answer may take `limit`. Changes the
    /// health of none. Fails if no name of the upstream resolves.
    pub async fn probe(
        &self,
        health: &HealthOptions,
        limit: Duration,
    ) -> Result<Vec<BackendProbe>, Error> {
        let health = &HealthOptions {
            timeout: limit,
            ..health.clone()
        };
        if self.discovery.current(0).is_none() {
            self.discovery.resolve(0).await?;
        }
        let probes = self.backends().into_iter().map(|backend| async move {
            let address = backend.address().clone();
            let asked = HealthCheck::status_of(&address, &self.settings, health);
            let answer = timeout(limit, asked).await.unwrap_or_else(|_| {
                let backend = address.clone();
                Err(Error::ResponseTimeout { backend })
            });
            BackendProbe { address, answer }
        });
        Ok(join_all(probes).await)
    }
}
