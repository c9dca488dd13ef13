//! Suggestions for misspelled keys and names.

/// Returns the name that `text` was probably meant to be. `similarity` is the minimum Jaro-Winkler similarity.
pub(crate) fn nearest_key(
    text: &str,
    names: impl Iterator<Item = &'static str>,
    similarity: f64,
) -> Option<&'static str> {
    let text = text.to_lowercase().replace(['_', ' '], "-");
    names
        .map(|name| (strsim::jaro_winkler(&text, name), name))
        .filter(|(found, _)| *found >= similarity)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}
