//! Reasons why a challenge could not be published in DNS.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use hickory_proto::op::ResponseCode;

use super::options::ServerAddress;
use crate::certs::dns::ResolverError;
use crate::printable::quoted;
use crate::storage;
use crate::web_client::WebClientError;

/// Reason why a challenge could not be published in DNS. Each message includes its cause, because callers print only the
/// first and the last error of a chain.
#[derive(Debug, thiserror::Error)]
pub enum Dns01Error {
    /// IP addresses cannot be proved in DNS (RFC 8738 section 7).
    #[error("an IP address cannot be proved in DNS")]
    Address,
    /// The CNAME chain of the name could not be followed.
    #[error("the CNAME records of {name} cannot be looked up: {cause}")]
    Alias {
        /// Name of the record.
        name: String,
        /// Failed look-up.
        cause: Box<ResolverError>,
    },
    /// The hook program failed.
    #[error("the hook {} {fault}", program.display())]
    Hook {
        /// Path of the program.
        program: PathBuf,
        /// Kind of failure.
        fault: HookFault,
    },
    /// The zone could not be updated.
    #[error("the DNS server {server} {fault}")]
    Update {
        /// Server that got the update.
        server: ServerAddress,
        /// Kind of failure.
        fault: UpdateFault,
    },
    /// A call to Cloudflare failed.
    #[error("Cloudflare {0}")]
    Cloudflare(CloudflareFault),
    /// The record was not set or removed in time.
    #[error("the TXT record {name} could not be changed within {}", humantime::format_duration(*limit))]
    Slow {
        /// Name of the record.
        name: String,
        /// Time limit.
        limit: Duration,
    },
    /// The name servers of the zone were not found.
    #[error("the name servers of {name} cannot be found: {cause}")]
    Servers {
        /// Name of the record.
        name: String,
        /// Failed look-up.
        cause: Box<ResolverError>,
    },
    /// A name server did not show the record in time.
    #[error(
        "the name server {server} does not show the TXT record after {}; correct the zone that it serves, or raise `propagation-timeout`",
        humantime::format_duration(*limit)
    )]
    Missing {
        /// Name server without the record.
        server: String,
        /// Time limit.
        limit: Duration,
    },
    /// No name server answered.
    #[error("no name server of {name} answers: {server} fails with: {cause}")]
    Silent {
        /// Name of the record.
        name: String,
        /// One of the servers.
        server: String,
        /// Error of this server.
        cause: Box<ResolverError>,
    },
    /// The journal could not be written. Nothing is set in DNS without it.
    #[error("the journal of DNS records cannot be written: {0}")]
    Journal(storage::Error),
    /// The process is stopping.
    #[error("the proxy is stopping")]
    Stopping,
}

/// Failure of the hook program.
#[derive(Debug, thiserror::Error)]
pub enum HookFault {
    /// The program did not start.
    #[error("cannot be run: {0}; check that it exists and is executable")]
    Start(std::io::Error),
    /// The program did not finish in time.
    #[error("did not finish `{action}` within {} and was killed", humantime::format_duration(*limit))]
    Slow {
        /// First argument of the call: `present` or `cleanup`.
        action: &'static str,
        /// Time limit.
        limit: Duration,
    },
    /// The program returned a failure.
    #[error("failed to {action} ({status}){}", output(.stderr))]
    Failed {
        /// First argument of the call: `present` or `cleanup`.
        action: &'static str,
        /// Exit status of the program.
        status: ExitStatus,
        /// Beginning of its standard error.
        stderr: String,
    },
}

fn output(stderr: &str) -> String {
    if stderr.is_empty() {
        " and wrote nothing to standard error".to_owned()
    } else {
        format!(": {}", quoted(stderr))
    }
}

/// Failure of a dynamic update.
#[derive(Debug, thiserror::Error)]
pub enum UpdateFault {
    /// The connection could not be made, or broke.
    #[error("cannot be reached: {0}")]
    Io(#[from] std::io::Error),
    /// The server did not answer in time.
    #[error("does not answer")]
    Timeout,
    /// The answer is not a DNS message, or its signature is wrong.
    #[error("sent an answer that cannot be trusted: {0}")]
    BadAnswer(String),
    /// A setting of the key is not valid.
    #[error("cannot be used with this key: {0}")]
    Key(&'static str),
    /// The server has another secret for the key (RFC 8945 section 5.2.2).
    #[error("has another secret for the key `{0}` (BADSIG); check `key`")]
    BadSignature(String),
    /// The server does not know the key (RFC 8945 section 5.2.1).
    #[error(
        "does not know the key `{0}` for this algorithm (BADKEY); check `key-name` and `algorithm`"
    )]
    BadKey(String),
    /// The two clocks differ (RFC 8945 section 5.2.3).
    #[error("has a clock that differs from this machine's (BADTIME); set both by NTP")]
    BadTime,
    /// The server has no zone for the name.
    #[error("serves no zone for {0}; check `server`")]
    NoZone(String),
    /// The server does not allow the change.
    #[error("does not let the key change {name} ({code}); allow it in the zone's update policy")]
    Refused {
        /// Name of the record.
        name: String,
        /// Response code of the server.
        code: ResponseCode,
    },
    /// The server failed in another way.
    #[error("did not change {name}: {code}")]
    Failed {
        /// Name of the record.
        name: String,
        /// Response code of the server.
        code: ResponseCode,
    },
}

/// Failure of a call to Cloudflare.
#[derive(Debug, thiserror::Error)]
pub enum CloudflareFault {
    /// The HTTP client could not be created.
    #[error("cannot be called: {0}")]
    Client(WebClientError),
    /// The API could not be reached.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The body is not valid JSON of this API, or too large.
    #[error("answered with status {0} and a body that is not valid")]
    BadBody(u16),
    /// The token is not valid, or lacks a permission.
    #[error(
        "refuses the token: {0}; set `token` to one with the permissions Zone:Read and DNS:Edit"
    )]
    Token(String),
    /// The API refused the call.
    #[error("refuses to {action}: {message}")]
    Refused {
        /// Purpose of the call, such as `create the record`.
        action: &'static str,
        /// Errors that the API named.
        message: String,
    },
    /// The account has no zone for the name.
    #[error("has no zone for {0}, or the token may not see it")]
    NoZone(String),
}
