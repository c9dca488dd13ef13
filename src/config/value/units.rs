//! Parses durations, sizes, counts and statuses.

use crate::config::report::Problem;
use std::time::Duration;

use crate::config::toml::TomlValue;

const UNITS: [(char, usize); 3] = [('g', 1 << 30), ('m', 1 << 20), ('k', 1 << 10)];

/// Parses a duration like `30s`, `5m`, `12h` or `90d`. It must be longer than zero and at most a year, so that adding it
/// to a time cannot overflow.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Problem> {
    const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);
    match humantime::parse_duration(text) {
        Err(_) => Err(Problem::Duration(text.to_owned())),
        Ok(Duration::ZERO) => Err(Problem::ZeroDuration(text.to_owned())),
        Ok(duration) if duration > YEAR => Err(Problem::LongDuration(text.to_owned())),
        Ok(duration) => Ok(duration),
    }
}

/// Parses a size like `16k`, `10m` or `1g`, or a number of bytes.
pub(crate) fn parse_size(text: &str) -> Result<usize, Problem> {
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| {
            Some((
                text.strip_suffix([*unit, unit.to_ascii_uppercase()])?,
                *factor,
            ))
        })
        .unwrap_or((text, 1));
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(digits)
        .and_then(|digits| digits.parse::<usize>().ok())
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| Problem::Size(text.to_owned()))
}

/// Parses the size of a request's head. The HTTP library needs at least 8 KiB.
pub(crate) fn parse_head_size(text: &str) -> Result<usize, Problem> {
    let size = parse_size(text)?;
    if (8 << 10..=16 << 20).contains(&size) {
        Ok(size)
    } else {
        Err(Problem::HeadSize(text.to_owned()))
    }
}

/// Parses a count from 1 to 65535.
pub(crate) fn parse_count(text: &str) -> Result<u16, Problem> {
    text.parse()
        .ok()
        .filter(|count| *count != 0)
        .ok_or_else(|| Problem::Count(text.to_owned()))
}

pub(crate) fn read_duration(value: &TomlValue<'_>) -> Result<Duration, Problem> {
    parse_duration(value.string()?)
}

/// Reads a response status. The range depends on the action, which checks it.
pub(crate) fn read_status(value: &TomlValue<'_>) -> Result<u16, Problem> {
    let text = value.text()?;
    text.parse().map_err(|_| Problem::Status(text))
}

/// Formats a size as users write it, with the largest unit that divides it.
pub(crate) fn format_size(size: usize) -> String {
    UNITS
        .iter()
        .find(|(_, factor)| size >= *factor && size.is_multiple_of(*factor))
        .map_or_else(
            || size.to_string(),
            |(unit, factor)| format!("{}{unit}", size / factor),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed_and_formatted() {
        for (text, size) in [
            ("0", 0),
            ("1000", 1000),
            ("16k", 16_384),
            ("10m", 10 << 20),
            ("1g", 1 << 30),
        ] {
            assert_eq!(parse_size(text).unwrap(), size);
            assert_eq!(format_size(size), text);
        }
        assert_eq!(parse_size("16K").unwrap(), 16_384);
        for text in [
            "",
            "k",
            "-1k",
            "+1k",
            "1.5m",
            "1kb",
            "99999999999999999999",
            "99999999999g",
        ] {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn durations_are_longer_than_zero_and_at_most_a_year() {
        for (text, seconds) in [
            ("30s", 30),
            ("5m", 300),
            ("12h", 43_200),
            ("90d", 7_776_000),
            ("1y", 31_557_600),
        ] {
            assert_eq!(parse_duration(text).unwrap().as_secs(), seconds);
        }
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "0s",
            "0d",
            "2y",
            "99999999999999999999y",
        ] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }
}
