//! How a site is served: over TLS, over plain HTTP, or over both.

/// Use of plain HTTP by a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpMode {
    /// The site is served over TLS. Plain HTTP is redirected to it.
    #[default]
    Redirect,
    /// The site is served over plain HTTP alone. It needs no certificate.
    Serve,
    /// The site is served over TLS and over plain HTTP.
    Both,
}

impl HttpMode {
    /// `true` if requests reach the site over a connection with or without TLS.
    #[must_use]
    pub fn is_served(self, is_tls: bool) -> bool {
        match self {
            Self::Redirect => is_tls,
            Self::Serve => !is_tls,
            Self::Both => true,
        }
    }
}
