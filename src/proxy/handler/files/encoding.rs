//! The codings in which a file may lie beside itself, compressed beforehand.

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// One coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Brotli,
    Zstd,
    Gzip,
}

impl Encoding {
    /// The smallest first.
    const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Those that a client takes (RFC 9110 section 12.5.3).
    pub(super) fn accepted(headers: &HeaderMap) -> Vec<Self> {
        let values = headers.get_all(ACCEPT_ENCODING).iter();
        let offers: Vec<&str> = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        let is_accepted = |encoding: &Self| offers.iter().any(|offer| encoding.is_offered(offer));
        Self::ALL.into_iter().filter(is_accepted).collect()
    }

    fn is_offered(self, offer: &str) -> bool {
        let mut parts = offer.split(';').map(str::trim);
        let is_named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(self.name()));
        let weight = parts.find_map(|part| part.strip_prefix(['q', 'Q'])?.strip_prefix('='));
        let is_refused = weight.is_some_and(|weight| weight.parse::<f32>().unwrap_or(0.0) <= 0.0);
        is_named && !is_refused
    }

    fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The value of Content-Encoding.
    pub(super) fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    /// What the file's name has at its end.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_the_smallest_of_what_it_takes() {
        use Encoding::{Brotli, Gzip, Zstd};
        for (offer, accepted) in [
            ("", &[] as &[_]),
            ("identity", &[]),
            ("gzip, deflate, br, zstd", &[Brotli, Zstd, Gzip]),
            ("GZIP;q=0.5 , br;q=0", &[Gzip]),
            ("gzip; q=0.000, zstd;q=1", &[Zstd]),
            ("gzipped, xbr", &[]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(offer));
            assert_eq!(Encoding::accepted(&headers), accepted, "{offer}");
        }
    }
}
