//! The normal forms that backends make of a path: each decodes, folds and cuts in its own way.

use percent_encoding::percent_decode;

/// One thing that some backends do to a path.
type Step = fn(&[u8]) -> Vec<u8>;

/// Decoding stands twice, since what a proxy of the backend has decoded is at times decoded again.
const STEPS: [Step; 6] = [
    decode,
    decode,
    turn_backslashes,
    cut_parameters,
    fold_slashes,
    resolve_dots,
];

/// `true` if any form of `path` but the one it came in is `wanted`. Where a path has no other form, this costs one pass over
/// its bytes.
pub(in crate::proxy) fn any_other(path: &[u8], mut wanted: impl FnMut(&[u8]) -> bool) -> bool {
    !has_one_form(path) && all(path).iter().any(|form| wanted(form))
}

fn has_one_form(path: &[u8]) -> bool {
    let mut before = 0;
    path.iter().all(|byte| {
        let pair = (std::mem::replace(&mut before, *byte), *byte);
        !matches!(pair, (_, b'%' | b'\\' | b';') | (b'/', b'/' | b'.'))
    })
}

/// Returns the path as it is and after every choice of steps.
fn all(path: &[u8]) -> Vec<Vec<u8>> {
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

/// Cuts `;…` off each segment.
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

fn turn_backslashes(path: &[u8]) -> Vec<u8> {
    let turned = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
    path.iter().map(turned).collect()
}

/// Makes one slash of several.
fn fold_slashes(path: &[u8]) -> Vec<u8> {
    let mut folded = path.to_vec();
    folded.dedup_by(|byte, before| (*byte, *before) == (b'/', b'/'));
    folded
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
    fn each_step_does_one_thing() {
        for (step, path, reading) in [
            (decode as Step, "/%61%2f%zz%", "/a/%zz%"),
            (cut_parameters, "/a;b/;c/d", "/a//d"),
            (turn_backslashes, "/a\\b", "/a/b"),
            (fold_slashes, "//a///b/", "/a/b/"),
            (resolve_dots, "/a/./b/../c", "/a/c"),
            (resolve_dots, "/../a/..", "/"),
            (resolve_dots, "/a//../b", "/a/b"),
            (resolve_dots, "/a/.", "/a/"),
        ] {
            let read = step(path.as_bytes());
            assert_eq!(String::from_utf8_lossy(&read), reading, "{path}");
        }
    }

    #[test]
    fn a_plain_path_is_only_looked_at() {
        assert!(!any_other(b"/a-b/c.d/e", |_| panic!(
            "it has no other reading"
        )));
        assert!(any_other(b"/%61", |reading| reading == b"/a"));
    }
}
