//! The choice of a coding by a request's Accept-Encoding (RFC 9110 section 12.5.3).

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use super::coding::Coding;
use crate::proxy::request::list_elements;

/// Highest weight, in thousandths.
const MAX_WEIGHT: u16 = 1000;

/// Returns the coding that a request prefers; among equal weights, the first of `offered`. `None` if it prefers none.
pub(crate) fn choose(headers: &HeaderMap, offered: &[Coding]) -> Option<Coding> {
    let mut best = None;
    for coding in offered {
        let weight = weight_of(headers, *coding).unwrap_or(0);
        if weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((weight, *coding));
        }
    }
    let (weight, coding) = best?;
    let plain = weight_of_name(headers, |name| name.eq_ignore_ascii_case("identity"));
    (weight >= plain.unwrap_or(0)).then_some(coding)
}

fn weight_of(headers: &HeaderMap, coding: Coding) -> Option<u16> {
    let is_named = |name: &str| {
        name.eq_ignore_ascii_case(coding.name())
            || (coding == Coding::Gzip && name.eq_ignore_ascii_case("x-gzip"))
    };
    weight_of_name(headers, is_named).or_else(|| weight_of_name(headers, |name| name == "*"))
}

fn weight_of_name(headers: &HeaderMap, matches: impl Fn(&str) -> bool) -> Option<u16> {
    list_elements(headers, &ACCEPT_ENCODING)
        .map(|element| element.split_once(';').unwrap_or((element, "")))
        .find(|(name, _)| matches(name.trim()))
        .map(|(_, parameter)| parse_weight(parameter.trim()))
}

/// Parses a weight. An invalid one counts as 0, so that the client gets the uncompressed response, which all
/// understand.
fn parse_weight(parameter: &str) -> u16 {
    if parameter.is_empty() {
        return MAX_WEIGHT;
    }
    let value = match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => value.trim(),
        _ => return 0,
    };
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    let thousandths = format!("{fraction:0<3}").parse().unwrap_or(0);
    match whole {
        "0" => thousandths,
        "1" if thousandths == 0 => MAX_WEIGHT,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(values: &[&'static str]) -> &'static str {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT_ENCODING, http::HeaderValue::from_static(value));
        }
        choose(&headers, &Coding::ALL).map_or("-", Coding::name)
    }

    #[test]
    fn the_clients_weights_decide_before_the_sites_order() {
        for (values, coding) in [
            (&[][..], "-"),
            (&[""], "-"),
            (&["gzip, deflate, br, zstd"], "zstd"),
            (&["gzip, deflate, br"], "br"),
            (&["GZip"], "gzip"),
            (&["x-gzip"], "gzip"),
            (&["gzip", "br"], "br"),
            (&["gzip;q=1.0, br;q=0.8, zstd;q=0.8"], "gzip"),
            (&["gzip ; Q=0.001"], "gzip"),
            (&["*"], "zstd"),
            (&["*, zstd;q=0"], "br"),
            (&["*;q=0, gzip"], "gzip"),
            (&["*;q=0"], "-"),
            (&["gzip;q=0"], "-"),
            (&["gzip;q=0.5, identity"], "-"),
            (&["gzip;q=0.5, identity;q=0.5"], "gzip"),
            (&["identity"], "-"),
            (&["deflate, gzipped"], "-"),
            (&["gzip;q=2"], "-"),
            (&["gzip;q=0.1234"], "-"),
            (&["gzip;q=-1"], "-"),
            (&["gzip;q="], "-"),
            (&["gzip;level=9"], "-"),
            (&["gzip;q=1.000"], "gzip"),
            (&["gzip;q=1.001"], "-"),
        ] {
            assert_eq!(chosen(values), coding, "{values:?}");
        }
    }
}
