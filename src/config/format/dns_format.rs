//! Settings about DNS as a Proxyfile writes them. A secret that the file spells out is not repeated.

use crate::certs::Secret;
use crate::certs::challenge::{DnsMethod, DnsOptions, TsigAlgorithm};

/// The `dns` of a site.
#[must_use]
pub fn format_dns(options: &DnsOptions) -> String {
    let method = match &options.method {
        DnsMethod::Exec(program) => format!("exec = {}", quoted(program.display())),
        DnsMethod::Rfc2136(update) => format!(
            "rfc2136 = {{ server = {}, key-name = {}, key = {}, algorithm = {} }}",
            quoted(&update.server),
            quoted(&update.key_name),
            secret(&update.key),
            quoted(algorithm(update.algorithm)),
        ),
        DnsMethod::Cloudflare(api) => format!(
            "cloudflare = {{ token = {}, url = {} }}",
            secret(&api.token),
            quoted(&api.url),
        ),
        DnsMethod::Persist => return quoted("persist"),
    };
    let servers = match options.name_servers.as_slice() {
        [] => String::new(),
        servers => format!(", name-servers = {}", list(servers)),
    };
    let timeout = quoted(humantime::format_duration(options.propagation_timeout));
    format!("{{ {method}{servers}, propagation-timeout = {timeout} }}")
}

fn secret(secret: &Secret) -> String {
    quoted(secret.reference().unwrap_or("(not shown)"))
}

fn algorithm(algorithm: TsigAlgorithm) -> &'static str {
    match algorithm {
        TsigAlgorithm::HmacSha256 => "hmac-sha256",
        TsigAlgorithm::HmacSha384 => "hmac-sha384",
        TsigAlgorithm::HmacSha512 => "hmac-sha512",
    }
}

fn list<T: ToString>(values: &[T]) -> String {
    let values: Vec<_> = values
        .iter()
        .map(|value| quoted(value.to_string()))
        .collect();
    format!("[{}]", values.join(", "))
}

fn quoted(value: impl ToString) -> String {
    toml::Value::String(value.to_string()).to_string()
}
