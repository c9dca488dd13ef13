//! The forms that backends may normalize a path to. Backends differ in how they decode, merge slashes and resolve dots.

use percent_encoding::percent_decode;

/// One normalization that some backends apply to a path.
type Step = fn(&[u8]) -> Vec<u8>;

/// All steps in their usual order. Decoding comes twice, since some backends decode what a proxy before them has
/// decoded.
const STEPS: [Step; 6] = [
    decode,
    decode,
    convert_backslashes,
    cut_parameters,
    merge_slashes,
    resolve_dots,
];

/// `true` if `wanted` holds for any form of `path` other than `path` itself. For a path without other forms, this costs
/// one pass over its bytes.
pub(crate) fn any_other(path: &[u8], mut wanted: impl FnMut(&[u8]) -> bool) -> bool {
    !has_one_form(path) && all_forms(path).iter().any(|form| wanted(form))
}

fn has_one_form(path: &[u8]) -> bool {
    let mut before = 0;
    path.iter().all(|byte| {
        let pair = (std::mem::replace(&mut before, *byte), *byte);
        !matches!(pair, (_, b'%' | b'\\' | b';') | (b'/', b'/' | b'.'))
    })
}

/// Returns the path itself and its form after every selection of the steps.
fn all_forms(path: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![path.to_vec()];
    for step in STEPS {
        for index in 0..forms.len() {
            let form = step(&forms[index]);
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

fn decode(path: &[u8]) -> Vec<u8> {
    percent_decode(path).collect()
}

/// Cuts the parameters, `;…`, off each segment.
fn cut_parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|byte| *byte == b'/');
    let cut = segments.map(|segment| {
        segment
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or(segment)
    });
    cut.collect::<Vec<_>>().join(&b'/')
}

fn convert_backslashes(path: &[u8]) -> Vec<u8> {
    let converted = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
    path.iter().map(converted).collect()
}

/// Merges several slashes into one.
fn merge_slashes(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|byte, before| (*byte, *before) == (b'/', b'/'));
    merged
}

/// Removes dot segments (RFC 3986 section 5.2.4).
fn resolve_dots(path: &[u8]) -> Vec<u8> {
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_in_dots = false;
    for segment in inner.split(|byte| *byte == b'/') {
        ends_in_dots = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    if ends_in_dots {
        kept.push(b"");
    }
    [b"/", &*kept.join(&b'/')].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_applies_one_normalization() {
        for (step, path, form) in [
            (decode as Step, "/%61%2f%zz%", "/a/%zz%"),
            (cut_parameters, "/a;b/;c/d", "/a//d"),
            (convert_backslashes, "/a\\b", "/a/b"),
            (merge_slashes, "//a///b/", "/a/b/"),
            (resolve_dots, "/a/./b/../c", "/a/c"),
            (resolve_dots, "/../a/..", "/"),
            (resolve_dots, "/a//../b", "/a/b"),
            (resolve_dots, "/a/.", "/a/"),
        ] {
            let result = step(path.as_bytes());
            assert_eq!(String::from_utf8_lossy(&result), form, "{path}");
        }
    }

    #[test]
    fn a_plain_path_has_no_other_form() {
        assert!(!any_other(b"/a-b/c.d/e", |_| panic!(
            "it has no other form"
        )));
        assert!(any_other(b"/%61", |form| form == b"/a"));
    }
}
