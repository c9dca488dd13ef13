//! Codings of precompressed files, which lie beside the originals.

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// Content coding of a precompressed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Brotli,
    Zstd,
    Gzip,
}

impl Encoding {
    /// All codings, the one with the smallest files first.
    const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Codings that the client accepts (RFC 9110 section 12.5.3), in the order of [`Self::ALL`].
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

    /// Value of Content-Encoding.
    pub(super) fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    /// Suffix that is appended to the original file's name.
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
    fn accepted_codings_are_listed_with_the_smallest_first() {
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
