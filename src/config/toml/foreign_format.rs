//! Recognizes configuration files of other programs, whose many syntax errors are reported as one.

/// A format of another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForeignFormat {
    /// Name, as in "a Caddyfile".
    pub(crate) name: &'static str,
    /// Byte offset of the first line that shows it.
    pub(crate) offset: usize,
}

impl ForeignFormat {
    /// Recognizes the format of a text that is not TOML.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let start = text.as_ptr() as usize;
        let lines: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        let find = |is_foreign: fn(&str) -> bool| {
            let line = lines.iter().find(|line| is_foreign(line))?;
            Some(line.as_ptr() as usize - start)
        };
        let mut tokens = text.split_whitespace().flat_map(str::chars);
        if tokens.next() == Some('{') && matches!(tokens.next(), Some('"' | '}')) {
            return Some(Self {
                name: "JSON",
                offset: text.find('{').unwrap_or_default(),
            });
        }
        let block = find(opens_block);
        let statement = find(|line| line.ends_with(';') && !line.contains('='));
        if let (Some(block), Some(_)) = (block, statement) {
            return Some(Self {
                name: "an nginx configuration",
                offset: block,
            });
        }
        let directive = find(|line| line.starts_with("reverse_proxy "));
        if let Some(offset) = block.or(directive) {
            return Some(Self {
                name: "a Caddyfile",
                offset,
            });
        }
        let is_yaml = lines.first()?.ends_with(':') && lines.iter().all(|line| !line.contains('='));
        is_yaml.then(|| Self {
            name: "YAML",
            offset: lines
                .first()
                .map_or(0, |line| line.as_ptr() as usize - start),
        })
    }
}

/// `true` for a line such as `app.example.org {`. A brace without a word before it may belong to TOML.
fn opens_block(line: &str) -> bool {
    line.strip_suffix('{')
        .is_some_and(|word| !word.is_empty() && !word.contains(['=', '"', '\'', '[', ',', '{']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_programs_are_recognized() {
        for (text, name) in [
            (
                "# hi\napp.example.org {\n\treverse_proxy localhost:3000\n}\n",
                Some("a Caddyfile"),
            ),
            (
                "app.example.org\nreverse_proxy localhost:3000\n",
                Some("a Caddyfile"),
            ),
            (
                "server {\n  listen 443 ssl;\n}\n",
                Some("an nginx configuration"),
            ),
            ("sites:\n  app.example.org: localhost:3000\n", Some("YAML")),
            (
                "email: \"a@b.example\"\n[sites]\n\"a.example\" = {\n}\n",
                None,
            ),
            ("[sites]\n\"a.example\" = x;\n", None),
            ("{ \"apps\": { \"http\": {\n} } }\n", Some("JSON")),
            (
                "{\n\temail a@b.example\n}\na.example {\n}\n",
                Some("a Caddyfile"),
            ),
            ("issuers = [\n  {\n directory = x },\n]\n", None),
            ("", None),
        ] {
            assert_eq!(
                ForeignFormat::of(text).map(|format| format.name),
                name,
                "{text}"
            );
        }
    }

    #[test]
    fn the_offset_is_that_of_the_first_line_that_shows_the_format() {
        let format = ForeignFormat::of("# hi\n\n  a.example {\n}\n").unwrap();
        assert_eq!(format.offset, 8);
    }
}
