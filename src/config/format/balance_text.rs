//! How a Proxyfile writes what the backends of an upstream share.

use std::time::Duration;

use crate::upstream::{Address, Balancer, Balancing, HealthOptions, Options, Share};

/// What a Proxyfile says about the backends of an upstream.
#[derive(Clone, Copy, Debug)]
pub struct BalanceText<'a>(&'a Balancing);

impl<'a> BalanceText<'a> {
    /// Of an upstream with these options.
    #[must_use]
    pub fn new(options: &'a Options) -> Self {
        Self(&options.balancing)
    }

    /// The value of `upstream`: the addresses with what sets them apart.
    #[must_use]
    pub fn upstream(self, addresses: &[Address]) -> String {
        let entries: Vec<_> = addresses
            .iter()
            .enumerate()
            .map(|(index, address)| entry(address, self.0.share(index)))
            .collect();
        format!("[{}]", entries.join(", "))
    }

    /// The lines that stand next to `upstream`.
    #[must_use]
    pub fn lines(self, addresses: &[Address]) -> Vec<String> {
        let balancer = self.0.balancer;
        let is_said = addresses.len() > 1 || balancer != Balancer::default();
        let balance = is_said.then(|| format!("balance = {}", quoted(balancer)));
        let health = self.0.health.as_ref().map(health);
        balance.into_iter().chain(health).collect()
    }

    /// The values of `[upstreams]`, by their full keys.
    #[must_use]
    pub fn options(self) -> Vec<(&'static str, String)> {
        let Balancing {
            max_connections,
            queue,
            queue_timeout,
            max_fails,
            eject_time,
            eject_status,
            slow_start,
            retries,
            retry_percent,
            cookie_name,
            cookie_key,
            ..
        } = self.0;
        // As long as a key has to be, so that the listing can be read.
        let hidden = "(not shown here)";
        let key = cookie_key
            .as_ref()
            .map(|key| quoted(key.source().unwrap_or(hidden)));
        let limit = max_connections.map(|limit| limit.to_string());
        let values = [
            ("upstreams.max-connections", limit),
            ("upstreams.queue", Some(queue.to_string())),
            ("upstreams.queue-timeout", Some(duration(*queue_timeout))),
            ("upstreams.max-fails", Some(max_fails.to_string())),
            ("upstreams.eject-time", Some(duration(*eject_time))),
            ("upstreams.eject-status", eject_status.map(quoted)),
            ("upstreams.slow-start", Some(duration(*slow_start))),
            ("upstreams.retries", Some(retries.to_string())),
            (
                "upstreams.retry-budget",
                Some(quoted(format!("{retry_percent}%"))),
            ),
            ("upstreams.cookie-name", Some(quoted(cookie_name))),
            ("upstreams.cookie-key", key),
        ];
        let values = values.into_iter();
        values
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// The same as entries of `upstream-options`, to stand behind others.
    #[must_use]
    pub fn inline(self) -> String {
        let entries = self.options().into_iter();
        entries
            .map(|(name, value)| format!(", {} = {value}", name.trim_start_matches("upstreams.")))
            .collect()
    }
}

fn entry(address: &Address, share: Share) -> String {
    if share == Share::default() {
        return quoted(address);
    }
    let limit = share.max_connections;
    let limit = limit.map_or_else(String::new, |limit| format!(", max-connections = {limit}"));
    let (address, weight) = (quoted(address), share.weight);
    format!("{{ address = {address}, weight = {weight}{limit} }}")
}

fn health(health: &HealthOptions) -> String {
    let host = health.host.as_ref();
    let host = host.map_or_else(String::new, |host| format!(", host = {}", quoted(host)));
    format!(
        "health = {{ path = {}, expect = {}, interval = {}, timeout = {}, rise = {}, fall = {}{host} }}",
        quoted(&health.path),
        quoted(health.expect),
        duration(health.interval),
        duration(health.timeout),
        health.rise,
        health.fall,
    )
}

fn quoted(value: impl ToString) -> String {
    toml::Value::String(value.to_string()).to_string()
}

fn duration(value: Duration) -> String {
    quoted(humantime::format_duration(value))
}
