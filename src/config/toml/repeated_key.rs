//! Names a key or a table that stands twice, and the line on which it stands first.

use std::ops::Range;

use crate::config::report::{Problem, Report};

/// Returns the problem with the key at `span`, which is set twice.
pub(super) fn repeated(text: &str, span: Range<usize>, report: &Report<'_>) -> Problem {
    let key = text.get(span.clone()).unwrap_or_default();
    let line = line_start(text, span.start);
    let header = text[line..].lines().next().unwrap_or_default().trim();
    if header.starts_with('[') {
        let name = header.split_once(']').map_or(header, |(name, _)| name);
        let first = first_table(&text[..line], name, key);
        return Problem::RepeatedTable {
            table: format!("{}]", name.trim_end_matches(']')),
            line: first.map(|offset| report.line(offset)),
        };
    }
    let first = first_key(&text[..line], key);
    Problem::RepeatedKey {
        key: key.trim_matches(['"', '\'']).to_owned(),
        line: first.map(|offset| report.line(offset)),
    }
}

/// Returns the offset of the line.
pub(super) fn line_start(text: &str, offset: usize) -> usize {
    text[..offset].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Finds the same header, or the key that sets the table in one line.
fn first_table(text: &str, header: &str, key: &str) -> Option<usize> {
    find_line(text, |line| {
        line.strip_prefix(header)
            .is_some_and(|rest| rest.starts_with(']'))
            || is_set(line, key)
    })
}

/// Finds the key in the same table.
fn first_key(text: &str, key: &str) -> Option<usize> {
    let mut headers = text
        .lines()
        .filter(|line| line.trim_start().starts_with('['));
    let table = headers
        .next_back()
        .map_or(0, |header| offset_in(text, header));
    find_line(&text[table..], |line| is_set(line, key)).map(|offset| table + offset)
}

fn is_set(line: &str, key: &str) -> bool {
    let rest = line.strip_prefix(key);
    rest.is_some_and(|rest| rest.trim_start().starts_with('='))
}

fn find_line(text: &str, is_wanted: impl Fn(&str) -> bool) -> Option<usize> {
    let line = text.lines().find(|line| is_wanted(line.trim_start()))?;
    Some(offset_in(text, line))
}

fn offset_in(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}
