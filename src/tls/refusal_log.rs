//! Logs why a name gets no certificate: once per name and minute, however often clients ask for it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;
use tracing::{debug, info};

use crate::name::HostName;

const EVERY: Duration = Duration::from_secs(60);
/// Most names that are remembered. Beyond it, names of a flood are not logged one by one.
const REMEMBERED: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct RefusalLog {
    said: DashMap<HostName, Instant>,
}

impl RefusalLog {
    pub(super) fn log(&self, client: SocketAddr, name: &HostName, refusal: &impl Display) {
        if self.is_due(name) {
            info!(sni = %name, client.addr = %client, error = %refusal, "no certificate")
        } else {
            debug!(sni = %name, client.addr = %client, error = %refusal, "no certificate")
        }
    }

    fn is_due(&self, name: &HostName) -> bool {
        let now = Instant::now();
        let is_fresh = |said: &Instant| now.duration_since(*said) < EVERY;
        if self.said.len() >= REMEMBERED {
            self.said.retain(|_, said| is_fresh(said));
        }
        match self.said.get(name).map(|said| *said) {
            Some(said) if is_fresh(&said) => false,
            None if self.said.len() >= REMEMBERED => false,
            _ => {
                self.said.insert(name.clone(), now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_name_is_logged_once_a_minute_and_floods_are_bounded() {
        let log = RefusalLog::default();
        let name = |text: &str| HostName::parse(text).unwrap();
        assert!(log.is_due(&name("a.example")));
        assert!(!log.is_due(&name("a.example")));
        let logged = (0..5000)
            .filter(|n| log.is_due(&name(&format!("n{n}.example"))))
            .count();
        assert_eq!(logged, REMEMBERED - 1);
        tokio::time::advance(EVERY).await;
        assert!(log.is_due(&name("a.example")));
    }
}
