//! The forms that backends may normalize a path to. Backends differ in how they decode, cut, merge slashes and resolve
//! dots.

use std::ops::ControlFlow;

use percent_encoding::percent_decode;

/// One normalization that some backends apply to a path.
type Step = fn(&[u8]) -> Vec<u8>;

/// Maximum number of forms of a path that are looked at. No honest path has so many.
const MAX_FORMS: usize = 256;
/// Maximum size of all forms of a path together, in bytes.
const MAX_SIZE: usize = 128 * 1024;

/// Normalizations that are looked for.
#[derive(Debug)]
pub(crate) struct Normalizations {
    /// Maximum number of times that a path is decoded. Some backends decode what a proxy before them has decoded.
    decodings: usize,
    /// Further steps in their usual order.
    steps: &'static [Step],
    /// Whether a path certainly has no other form.
    is_plain: fn(&[u8]) -> bool,
}

/// Normalizations that are common.
pub(crate) const COMMON: Normalizations = Normalizations {
    decodings: 2,
    steps: &[
        convert_backslashes,
        cut_parameters,
        merge_slashes,
        resolve_dots,
    ],
    is_plain: |path| all_pairs(path, is_commonly_plain),
};

/// Normalizations of any backend that is known. Among them are those of C (cuts at NUL), of Windows (streams, dots and
/// spaces at the end of a name, `%uXXXX`), and of old decoders of UTF-8.
pub(crate) const ALL: Normalizations = Normalizations {
    decodings: MAX_FORMS,
    steps: &[
        decode_long_letters,
        decode,
        cut_query,
        convert_backslashes,
        cut_parameters,
        cut_streams,
        trim_names,
        merge_slashes,
        resolve_dots,
    ],
    is_plain: |path| {
        all_pairs(path, |byte, next| {
            is_commonly_plain(byte, next)
                && byte.is_ascii()
                && byte != b'$'
                && !matches!((byte, next), (b'.', b'/' | 0))
        })
    },
};

/// `true` if `holds` for each pair of neighbouring bytes. The byte after the last one is 0.
fn all_pairs(path: &[u8], holds: impl Fn(u8, u8) -> bool) -> bool {
    let next = path.iter().skip(1).chain(&[0]);
    path.iter()
        .zip(next)
        .all(|(byte, next)| holds(*byte, *next))
}

fn is_commonly_plain(byte: u8, next: u8) -> bool {
    !matches!((byte, next), (b'%' | b'\\' | b';', _) | (b'/', b'/' | b'.'))
}

impl Normalizations {
    /// `true` if `wanted` holds for any form of `path` other than `path` itself, or if there are too many to look at all
    /// of them. For a path without other forms, this costs one pass over its bytes.
    pub(crate) fn any_other(&self, path: &[u8], wanted: impl FnMut(&[u8]) -> bool) -> bool {
        !(self.is_plain)(path) && self.visit(path, wanted).is_break()
    }

    /// Calls `wanted` for the form of the path after every selection of the steps. Breaks when one is found, or if there
    /// are too many forms.
    fn visit(&self, path: &[u8], mut wanted: impl FnMut(&[u8]) -> bool) -> ControlFlow<()> {
        let mut size = path.len();
        let mut is_last = |form: &[u8], count| {
            size += form.len();
            wanted(form) || count == MAX_FORMS || size > MAX_SIZE
        };
        let mut forms = vec![path.to_vec()];
        for decoded in 0..self.decodings {
            let form = decode(&forms[decoded]);
            if form == forms[decoded] {
                break;
            }
            if is_last(&form, forms.len()) {
                return ControlFlow::Break(());
            }
            forms.push(form);
        }
        for step in self.steps {
            for index in 0..forms.len() {
                let form = step(&forms[index]);
                if forms.contains(&form) {
                    continue;
                }
                if is_last(&form, forms.len()) {
                    return ControlFlow::Break(());
                }
                forms.push(form);
            }
        }
        ControlFlow::Continue(())
    }
}

/// Decodes `%XX`, and `%uXXXX` as in IIS.
fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some(start) = rest
        .windows(2)
        .position(|pair| matches!(pair, b"%u" | b"%U"))
    {
        let code = rest.get(start + 2..start + 6);
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        let letter = code
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .and_then(char::from_u32);
        match letter {
            Some(letter) => {
                decoded.extend(percent_decode(&rest[..start]));
                decoded.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[start + 6..];
            }
            None => {
                decoded.extend(percent_decode(&rest[..start + 2]));
                rest = &rest[start + 2..];
            }
        }
    }
    decoded.extend(percent_decode(rest));
    decoded
}

/// Converts characters of several bytes that some backends read as ASCII: overlong UTF-8, full-width forms, and the two
/// letters that lower or upper case turns into `s` and `k`.
fn decode_long_letters(path: &[u8]) -> Vec<u8> {
    let mut converted = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some(first) = rest.first() {
        let (letter, len) = match *rest {
            [lead @ (0xc0 | 0xc1), low, ..] => ((lead << 6) | (low & 0x3f), 2),
            [0xc5, 0xbf, ..] => (b's', 2),
            [0xe0, high @ (0x80 | 0x81), low, ..] => ((high << 6) | (low & 0x3f), 3),
            [0xe2, 0x84, 0xaa, ..] => (b'k', 3),
            [0xef, 0xbc, low @ 0x81..=0xbf, ..] => (low - 0x60, 3),
            [0xef, 0xbd, low @ 0x80..=0x9e, ..] => (low - 0x20, 3),
            [0xf0, 0x80, high @ (0x80 | 0x81), low, ..] => ((high << 6) | (low & 0x3f), 4),
            _ => (*first, 1),
        };
        converted.push(letter);
        rest = &rest[len..];
    }
    converted
}

/// Cuts the path off at a `?`, a `#` or a NUL that was encoded.
fn cut_query(path: &[u8]) -> Vec<u8> {
    let mut parts = path.split(|byte| matches!(byte, b'?' | b'#' | 0));
    parts.next().unwrap_or(path).to_vec()
}

/// Cuts the parameters, `;…`, off each segment.
fn cut_parameters(path: &[u8]) -> Vec<u8> {
    each_segment(path, |segment| {
        segment
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or(segment)
    })
}

/// Cuts the default stream of Windows, such as `::$DATA`, off each segment.
fn cut_streams(path: &[u8]) -> Vec<u8> {
    each_segment(path, |segment| {
        let has_stream = segment.windows(2).any(|pair| pair == b":$");
        let start = segment.iter().position(|byte| *byte == b':');
        match start.filter(|_| has_stream) {
            Some(start) => &segment[..start],
            None => segment,
        }
    })
}

/// Cuts white space off both ends of each segment, and dots and spaces off its end. `.` and `..` stay.
fn trim_names(path: &[u8]) -> Vec<u8> {
    each_segment(path, |segment| {
        let is_space = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
        let start = segment.iter().position(|byte| !is_space(byte));
        let end = segment.iter().rposition(|byte| !is_space(byte));
        let (Some(start), Some(end)) = (start, end) else {
            return &[];
        };
        let name = &segment[start..=end];
        let last = name
            .iter()
            .rposition(|byte| !is_space(byte) && *byte != b'.');
        match last {
            Some(last) => &name[..=last],
            None => name,
        }
    })
}

fn each_segment(path: &[u8], change: impl Fn(&[u8]) -> &[u8]) -> Vec<u8> {
    let segments = path.split(|byte| *byte == b'/').map(change);
    segments.collect::<Vec<_>>().join(&b'/')
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
            (decode, "/%u0061%U002f%u12%u00e9%61", "/a/%u12\u{e9}a"),
            (
                decode_long_letters,
                "/\u{17f}\u{212a}\u{ff41}\u{ff0f}\u{e9}",
                "/ska/\u{e9}",
            ),
            (cut_query, "/a/b?c", "/a/b"),
            (cut_query, "/a\0b", "/a"),
            (cut_query, "/#/b", "/"),
            (cut_streams, "/a::$DATA/b:$I30:x/c:d", "/a/b/c:d"),
            (trim_names, "/a. ./\tb \n/../. /c.d", "/a/b/.././c.d"),
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
    fn overlong_letters_become_ascii() {
        for path in [
            &b"/\xc1\xa1"[..],
            b"/\xc1\x21",
            b"/\xe0\x81\xa1",
            b"/\xf0\x80\x81\xa1",
        ] {
            assert_eq!(decode_long_letters(path), b"/a", "{path:?}");
        }
        assert_eq!(decode_long_letters(b"/\xc0\xaf\xc1"), b"//\xc1");
    }

    #[test]
    fn a_plain_path_has_no_other_form() {
        for steps in [COMMON, ALL] {
            let found = steps.any_other(b"/a-b/c.d/e:f,g", |_| panic!("it has no other form"));
            assert!(!found);
            assert!(steps.any_other(b"/%61", |form| form == b"/a"));
        }
        assert!(!COMMON.any_other(b"/a.", |_| true));
        assert!(ALL.any_other(b"/a.", |form| form == b"/a"));
    }

    #[test]
    fn a_path_with_too_many_forms_is_found_after_few_of_them() {
        for part in ["a/%252e//;x\\%2541/..", "a/%252e./ ;x\\%2541:$/.."] {
            let path = format!("/{}", part.repeat(1550));
            let mut size = 0;
            let found = ALL.any_other(path.as_bytes(), |form| {
                size += form.len();
                false
            });
            assert!(found && size < 2 * MAX_SIZE, "{size}");
        }
    }
}
