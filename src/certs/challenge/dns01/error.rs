//! Why a record is not where the CA would look for it.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use hickory_proto::op::ResponseCode;

use super::options::ServerAddress;
use crate::certs::dns::ResolverError;
use crate::storage;

/// A challenge that could not be put up in DNS. Each sentence holds its cause: whoever prints a chain of errors prints the
/// first and the last.
#[derive(Debug, thiserror::Error)]
pub enum Dns01Error {
    /// An address has no place in DNS (RFC 8738 section 7).
    #[error("an address cannot be proved in DNS")]
    Address,
    /// It is unknown whether the name is an alias.
    #[error("it is unknown where {name} leads: {cause}")]
    Alias {
        /// The record's name.
        name: String,
        /// Why.
        cause: Box<ResolverError>,
    },
    /// The operator's program failed.
    #[error("the hook {} {fault}", program.display())]
    Hook {
        /// The program.
        program: PathBuf,
        /// How.
        fault: HookFault,
    },
    /// The zone could not be updated.
    #[error("the DNS server {server} {fault}")]
    Update {
        /// The server.
        server: ServerAddress,
        /// How.
        fault: UpdateFault,
    },
    /// Cloudflare did not do it.
    #[error("Cloudflare {0}")]
    Cloudflare(CloudflareFault),
    /// The record was not set in time.
    #[error("the TXT record {name} was not set within {}", humantime::format_duration(*limit))]
    Slow {
        /// The record's name.
        name: String,
        /// How long it had.
        limit: Duration,
    },
    /// It is unknown who serves the zone.
    #[error("the name servers of {name} cannot be found: {cause}")]
    Servers {
        /// The record's name.
        name: String,
        /// Why.
        cause: Box<ResolverError>,
    },
    /// A name server goes on without the record.
    #[error(
        "the name server {server} does not show the TXT record of {name} after {}; \
         see that the record is set in the zone that this server serves, or give it more time with `propagation-timeout`",
        humantime::format_duration(*limit)
    )]
    Missing {
        /// The server.
        server: String,
        /// The record's name.
        name: String,
        /// How long it had.
        limit: Duration,
    },
    /// No name server could be asked.
    #[error("no name server of {name} answers: {server} fails with: {cause}")]
    Silent {
        /// The record's name.
        name: String,
        /// One of the servers.
        server: String,
        /// What became of asking it.
        cause: Box<ResolverError>,
    },
    /// What is set in DNS could not be written down, so that nothing more is set, or struck out.
    #[error("the list of what is set in DNS cannot be kept: {0}")]
    Journal(storage::Error),
    /// The process ends.
    #[error("the proxy is stopping")]
    Stopping,
}

/// How the operator's program failed.
#[derive(Debug, thiserror::Error)]
pub enum HookFault {
    /// It did not start.
    #[error("cannot be run: {0}; see that it exists and is executable")]
    Start(std::io::Error),
    /// It did not end in time.
    #[error("did not end its `{action}` within {}, and was killed", humantime::format_duration(*limit))]
    Slow {
        /// What it was called for.
        action: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// It ended with a failure.
    #[error("failed to {action} ({status}){}", said(.stderr))]
    Failed {
        /// What it was called for.
        action: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The beginning of what it wrote to standard error.
        stderr: String,
    },
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() {
        " and said nothing".to_owned()
    } else {
        format!(": {stderr}")
    }
}

/// How an update failed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateFault {
    /// No connection, or a broken one.
    #[error("cannot be reached: {0}")]
    Io(#[from] std::io::Error),
    /// No answer.
    #[error("does not answer")]
    Timeout,
    /// The answer is no DNS message, or another one than the server signed.
    #[error("sends an answer that is not to be trusted: {0}")]
    Garbled(String),
    /// The key's name is no DNS name, or the key no base64.
    #[error("cannot be used with this key: `{0}`")]
    Key(&'static str),
    /// The server has another secret for the key.
    #[error("has another secret for the key `{0}` (BADSIG); check `key`")]
    BadSignature(String),
    /// The server has no such key.
    #[error(
        "does not know the key `{0}` for this algorithm (BADKEY); check `key-name` and `algorithm`"
    )]
    BadKey(String),
    /// The two clocks differ.
    #[error("has a clock that differs from this machine's (BADTIME); set both by NTP")]
    BadTime,
    /// The server has no zone for the name.
    #[error("serves no zone that {0} is in; check `server`")]
    NoZone(String),
    /// The server does not let the key do it.
    #[error("does not let the key change {name} ({code}); allow it in the zone's update policy")]
    Refused {
        /// The record's name.
        name: String,
        /// What the server said.
        code: ResponseCode,
    },
    /// The server failed in another way.
    #[error("did not change {name}: {code}")]
    Failed {
        /// The record's name.
        name: String,
        /// What the server said.
        code: ResponseCode,
    },
}

/// How a call to Cloudflare failed.
#[derive(Debug, thiserror::Error)]
pub enum CloudflareFault {
    /// The client could not be made.
    #[error("cannot be called: {0}")]
    Client(reqwest::Error),
    /// No answer.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The answer is not what the API promises.
    #[error("answered with status {0} and nothing that can be understood")]
    Garbled(u16),
    /// The token is not good enough.
    #[error("refuses the token: {0}; give `token` one with the permissions Zone:Read and DNS:Edit")]
    Token(String),
    /// The API says no.
    #[error("refuses to {action}: {said}")]
    Refused {
        /// What it was asked for.
        action: &'static str,
        /// Its words.
        said: String,
    },
    /// The account has no zone for the name.
    #[error("has no zone that {0} is in, or the token may not see it")]
    NoZone(String),
}
