//! The paths that a file's code names: its imports, and those that it writes out.

/// One word or sign of the code, and where it stands.
struct Token<'a> {
    text: &'a str,
    at: usize,
}

/// A path of the code, as it is written there.
pub(crate) struct CodePath {
    pub(crate) segments: Vec<String>,
    pub(crate) at: usize,
}

/// An import: the path, and the name that it has in the file.
pub(crate) struct Import {
    pub(crate) path: CodePath,
    pub(crate) name: String,
}

/// All paths of a file without its tests.
pub(crate) struct Paths {
    pub(crate) imports: Vec<Import>,
    /// Paths of at least two segments outside imports.
    pub(crate) written_out: Vec<CodePath>,
}

impl Paths {
    pub(crate) fn of(code: &str) -> Self {
        let tokens = tokens(code);
        let mut paths = Self {
            imports: Vec::new(),
            written_out: Vec::new(),
        };
        let mut next = 0;
        while next < tokens.len() {
            if tokens[next].text == "use" && begins_import(&tokens, next) {
                let is_for_tests = is_for_tests(code, tokens[next].at);
                let before = paths.imports.len();
                next = paths.import(&tokens, next + 1, &[]);
                if is_for_tests {
                    paths.imports.truncate(before);
                }
            } else if is_identifier(tokens[next].text) {
                next = paths.write_out(&tokens, next);
            } else {
                next += 1;
            }
        }
        paths
    }

    /// Reads one branch of the tree of an import; returns the place behind it.
    fn import(&mut self, tokens: &[Token<'_>], mut next: usize, prefix: &[String]) -> usize {
        let at = tokens[next].at;
        let mut segments = prefix.to_vec();
        let mut name = None;
        while next < tokens.len() {
            match tokens[next].text {
                "::" => next += 1,
                "{" => return self.import_group(tokens, next + 1, &segments),
                "as" => {
                    name = Some(tokens[next + 1].text.to_owned());
                    next += 2;
                }
                "," | "}" | ";" => break,
                segment => {
                    segments.push(segment.to_owned());
                    next += 1;
                }
            }
        }
        if segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        let last = segments.last().cloned().unwrap_or_default();
        self.imports.push(Import {
            path: CodePath { segments, at },
            name: name.unwrap_or(last),
        });
        next
    }

    fn import_group(&mut self, tokens: &[Token<'_>], mut next: usize, prefix: &[String]) -> usize {
        while next < tokens.len() {
            match tokens[next].text {
                "}" => return next + 1,
                "," => next += 1,
                _ => next = self.import(tokens, next, prefix),
            }
        }
        next
    }

    fn write_out(&mut self, tokens: &[Token<'_>], mut next: usize) -> usize {
        let at = tokens[next].at;
        let is_tail = next > 0 && matches!(tokens[next - 1].text, "::" | ".");
        let mut segments = vec![tokens[next].text.to_owned()];
        next += 1;
        while next + 1 < tokens.len()
            && tokens[next].text == "::"
            && is_identifier(tokens[next + 1].text)
        {
            segments.push(tokens[next + 1].text.to_owned());
            next += 2;
        }
        if segments.len() > 1 && !is_tail {
            self.written_out.push(CodePath { segments, at });
        }
        next
    }
}

/// `use<'a>` in a type begins no import.
fn begins_import(tokens: &[Token<'_>], at: usize) -> bool {
    tokens
        .get(at + 1)
        .is_some_and(|next| next.text == "{" || next.text == "::" || is_identifier(next.text))
}

fn is_for_tests(code: &str, at: usize) -> bool {
    let before = code[..at].trim_end();
    let before = ["pub", "pub(crate)", "pub(super)"]
        .iter()
        .find_map(|shown| before.strip_suffix(shown))
        .unwrap_or(before);
    before.trim_end().ends_with("#[cfg(test)]")
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Splits code without literals into words and signs.
fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = code[at..].chars().next() {
        let rest = &code[at..];
        let length = if c.is_alphanumeric() || c == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            c.len_utf8()
        };
        if !c.is_whitespace() {
            let text = &rest[..length];
            tokens.push(Token { text, at });
        }
        at += length;
    }
    tokens
}
