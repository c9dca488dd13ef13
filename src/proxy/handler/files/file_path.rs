//! The path of a file below a served folder, parsed from a request's path.

use percent_encoding::percent_decode_str;

/// A relative path without dot segments, hidden files or characters that a file system reads as something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilePath {
    /// Decoded segments, joined by single slashes. Empty for the folder itself.
    pub(super) relative: String,
    /// Whether the request's path ends in a slash.
    pub(super) is_folder: bool,
}

impl FilePath {
    /// Parses a request's path. `None` if no file can have it.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let inner = path.strip_prefix('/')?;
        let (inner, is_folder) = match inner.strip_suffix('/') {
            Some("") => return None,
            Some(folder) => (folder, true),
            None => (inner, inner.is_empty()),
        };
        if inner.is_empty() {
            let relative = String::new();
            return Some(Self {
                relative,
                is_folder,
            });
        }
        let mut segments = Vec::new();
        for (index, segment) in inner.split('/').enumerate() {
            let segment = percent_decode_str(segment).decode_utf8().ok()?;
            // Files below `.well-known` are public (RFC 8615).
            let is_hidden = segment.starts_with('.') && (index, &*segment) != (0, ".well-known");
            if segment.is_empty() || is_hidden || segment.contains(['/', '\\', '\0']) {
                return None;
            }
            segments.push(segment);
        }
        Some(Self {
            relative: segments.join("/"),
            is_folder,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_one_by_one() {
        for (path, relative, is_folder) in [
            ("/", "", true),
            ("/a.txt", "a.txt", false),
            ("/a/b/", "a/b", true),
            ("/caf%C3%A9/a%20b", "café/a b", false),
            (
                "/.well-known/security.txt",
                ".well-known/security.txt",
                false,
            ),
            ("/a..b", "a..b", false),
        ] {
            let found = FilePath::parse(path).unwrap();
            assert_eq!(
                (found.relative.as_str(), found.is_folder),
                (relative, is_folder)
            );
        }
    }

    #[test]
    fn paths_that_could_lead_outside_or_to_hidden_files_are_refused() {
        for path in [
            "*",
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/a/../b",
            "/%2e%2e/b",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/%ff",
            "/.env",
            "/a/.git/config",
            "/a/.well-known/x",
            "/%2egit",
        ] {
            assert_eq!(FilePath::parse(path), None, "{path}");
        }
    }
}
