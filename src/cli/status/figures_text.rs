//! Numbers as people read them: short, and with their unit.

use std::time::{Duration, SystemTime};

/// Shown where there is nothing to show.
pub(super) const NONE: &str = "-";

/// Returns a number per second, such as `0.3`, `12` or `1.2k`.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate <= 0.0 => "0".to_owned(),
        rate if rate < 9.95 => format!("{rate:.1}"),
        rate if rate < 9_999.5 => format!("{rate:.0}"),
        rate if rate < 99_950.0 => format!("{:.1}k", rate / 1e3),
        rate => format!("{:.0}k", rate / 1e3),
    }
}

/// Returns a share in percent, such as `0.1%`. Something is never shown as nothing, and not all never as all.
pub(super) fn share(share: Option<f64>) -> String {
    let Some(percent) = share.map(|share| share * 100.0) else {
        return NONE.to_owned();
    };
    match percent {
        percent if percent <= 0.0 => "0%".to_owned(),
        percent if percent < 0.1 => "<0.1%".to_owned(),
        percent if percent < 9.95 => format!("{percent:.1}%"),
        percent if percent < 100.0 => format!("{:.0}%", percent.min(99.0)),
        _ => "100%".to_owned(),
    }
}

/// Returns a time, such as `0.4 ms`, `12 ms` or `1.2 s`.
pub(super) fn time(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else {
        return NONE.to_owned();
    };
    match seconds * 1e3 {
        millis if millis < 9.95 => format!("{millis:.1} ms"),
        millis if millis < 999.5 => format!("{millis:.0} ms"),
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}

/// Returns a number of bytes, such as `512 B` or `1.2 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if size < 9.95 {
        format!("{size:.1} {}", UNITS[unit])
    } else {
        format!("{size:.0} {}", UNITS[unit])
    }
}

/// Returns how long ago a moment in RFC 3339 was, such as `4s ago`.
pub(super) fn ago(at: &str) -> String {
    let Ok(at) = humantime::parse_rfc3339(at) else {
        return NONE.to_owned();
    };
    let passed = SystemTime::now().duration_since(at).unwrap_or_default();
    format!("{} ago", span(passed))
}

/// Returns a length of time in its largest unit.
pub(super) fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Returns a moment in RFC 3339 as date and minute, in UTC.
pub(super) fn moment(at: Option<&str>) -> String {
    let minute = at.and_then(|at| Some((at.get(..10)?, at.get(11..16)?)));
    minute.map_or_else(|| NONE.to_owned(), |(date, time)| format!("{date} {time}"))
}

/// Returns a text of at most `most` characters. The end of a longer one tells more than its middle.
pub(super) fn cut(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let begin: String = text.chars().take(most / 2).collect();
    let end = text.chars().skip(length - (most - most / 2 - 1));
    format!("{begin}…{}", end.collect::<String>())
}

/// Breaks a sentence into lines of at most `width` characters, between words where that is possible.
pub(super) fn wrapped(sentence: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in sentence.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        let used = lines.last().map_or(0, |line| line.chars().count());
        if used > 0 && used + 1 + word.len() > width {
            lines.push(String::new());
        }
        while word.len() > width {
            let rest = word.split_off(width);
            if let Some(line) = lines.last_mut() {
                line.extend(word);
            }
            lines.push(String::new());
            word = rest;
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.extend(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_have_a_unit() {
        for (per_second, text) in [
            (0.0, "0"),
            (0.25, "0.2"),
            (9.96, "10"),
            (1234.0, "1234"),
            (12_345.0, "12.3k"),
            (123_456.0, "123k"),
        ] {
            assert_eq!(rate(per_second), text);
        }
        for (part, text) in [
            (None, "-"),
            (Some(0.0), "0%"),
            (Some(0.0001), "<0.1%"),
            (Some(0.012), "1.2%"),
            (Some(0.999), "99%"),
            (Some(1.0), "100%"),
        ] {
            assert_eq!(share(part), text);
        }
        for (seconds, text) in [
            (None, "-"),
            (Some(0.000_4), "0.4 ms"),
            (Some(0.25), "250 ms"),
            (Some(1.25), "1.2 s"),
            (Some(60.0), "60 s"),
        ] {
            assert_eq!(time(seconds), text);
        }
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (1_073_741_824, "1.0 GiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn times_are_short() {
        assert_eq!(moment(Some("2026-11-30T12:34:56Z")), "2026-11-30 12:34");
        assert_eq!(moment(None), "-");
        let lengths = [0, 119, 120, 7_200, 200_000].map(|it| span(Duration::from_secs(it)));
        assert_eq!(lengths, ["0s", "119s", "2m", "2h", "2d"]);
        assert!(ago("1970-01-01T00:00:00Z").ends_with("d ago"));
    }

    #[test]
    fn long_texts_are_cut_and_wrapped() {
        assert_eq!(cut("www.example.org", 15), "www.example.org");
        assert_eq!(cut("a.very.long.example.org", 9), "a.ve….org");
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a 123456789", 4), ["a", "1234", "5678", "9"]);
        assert_eq!(wrapped("", 4), [""]);
    }
}
