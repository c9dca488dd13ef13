//! Forms of HTTP that the backends of one upstream get: version, Host, and the case of field names.

use std::fmt;

use http::HeaderValue;

/// Forms of HTTP that the backends of one upstream get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HttpOptions {
    /// Value of the Host field.
    pub host: BackendHost,
    /// Version of HTTP that `https://` backends are offered.
    pub version: HttpVersion,
    /// Case of the names of header fields over HTTP/1.1.
    pub header_case: HeaderCase,
}

/// Value of the Host field of requests to a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum BackendHost {
    /// Host that the client has asked for.
    #[default]
    Client,
    /// Host in the address of the backend.
    Upstream,
    /// This host.
    Name(HeaderValue),
}

/// Version of HTTP that `https://` backends are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/2 or HTTP/1.1, as the backend prefers.
    #[default]
    Any,
    /// Only HTTP/1.1.
    Http1,
}

/// Case of the names of header fields over HTTP/1.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HeaderCase {
    /// Lower case, as in `content-type`.
    #[default]
    Lower,
    /// A capital at the start of each word, as in `Content-Type`.
    Title,
}

impl fmt::Display for BackendHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Name(name) => name.to_str().unwrap_or_default(),
        })
    }
}
