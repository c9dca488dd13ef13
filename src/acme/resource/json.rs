//! Tolerant reading of the JSON of a CA. A member that is null or empty counts as missing, a member of the wrong type gets
//! its default, and a relative URL is resolved against the URL of the response.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::Url;

/// The members of resources that hold a URL or a list of URLs.
const URL_MEMBERS: [&str; 10] = [
    "newNonce",
    "newAccount",
    "newOrder",
    "revokeCert",
    "keyChange",
    "renewalInfo",
    "orders",
    "authorizations",
    "finalize",
    "certificate",
];

/// The member of a challenge that holds its URL.
const CHALLENGE_URL: &str = "url";

/// The object whose names matter even if their values are empty.
const PROFILES: &str = "profiles";

/// Reads a resource or a problem document. Text that is not UTF-8 is read too, because only descriptions contain it. A byte
/// order mark is skipped.
pub(in crate::acme) fn read<T: DeserializeOwned>(
    body: &[u8],
    base: Option<&Url>,
) -> Result<T, serde_json::Error> {
    let text = String::from_utf8_lossy(body);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut value: Value = serde_json::from_str(text)?;
    tidy(&mut value, base);
    serde_json::from_value(value)
}

/// Removes the members and items without content, and makes URLs absolute.
fn tidy(value: &mut Value, base: Option<&Url>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if name == CHALLENGE_URL || URL_MEMBERS.contains(&name.as_str()) {
                    make_absolute(member, base);
                }
                if name != PROFILES {
                    tidy(member, base);
                }
            }
            members.retain(|_, member| has_content(member));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| tidy(item, base));
            items.retain(has_content);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

fn has_content(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Replaces a URL, or each URL of a list, by the absolute one.
fn make_absolute(value: &mut Value, base: Option<&Url>) {
    match value {
        Value::String(text) => {
            if text.trim().is_empty() {
                return;
            }
            if let Some(url) = base.and_then(|base| base.join(text).ok()) {
                *text = url.into();
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .filter(|item| item.is_string())
            .for_each(|item| make_absolute(item, base)),
        _ => (),
    }
}

/// Deserializes a member. One of the wrong type becomes the default.
pub(super) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: DeserializeOwned + Default,
    D: Deserializer<'de>,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// Deserializes a list. Items of the wrong type are skipped, and a value that is not a list is a list of one item.
pub(super) fn items<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    let items = match Value::deserialize(deserializer)? {
        Value::Array(items) => items,
        single => vec![single],
    };
    let items = items.into_iter();
    Ok(items
        .filter_map(|item| serde_json::from_value(item).ok())
        .collect())
}

/// Deserializes names with their descriptions. A description may be missing.
pub(super) fn described_names<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(match Value::deserialize(deserializer)? {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        Value::Array(names) => names
            .iter()
            .map(|name| (text(name), String::new()))
            .filter(|(name, _)| !name.is_empty())
            .collect(),
        _ => BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_value(body: &[u8]) -> Value {
        let base = Url::parse("https://ca.test/acme/dir").unwrap();
        read(body, Some(&base)).unwrap()
    }

    #[test]
    fn members_without_content_are_missing() {
        let value = read_value(
            br#"{"a":null,"b":"","c":[],"d":{},"e":[null,{"f":null},"x"],"g":false,"h":0,
                "profiles":{"classic":null,"short":""}}"#,
        );
        let expected = json!({
            "e": ["x"], "g": false, "h": 0, "profiles": {"classic": null, "short": ""}
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn urls_are_resolved_against_the_url_of_the_response() {
        let value = read_value(
            br#"{"finalize":"/f/1","authorizations":["authz/1","https://other.test/2"],"status":"valid",
                "challenges":[{"url":"//ca.test/c"}],"token":"/f"}"#,
        );
        let expected = json!({
            "finalize": "https://ca.test/f/1",
            "authorizations": ["https://ca.test/acme/authz/1", "https://other.test/2"],
            "status": "valid", "challenges": [{"url": "https://ca.test/c"}], "token": "/f"
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn a_byte_order_mark_and_text_in_latin_1_are_read() {
        let value = read_value(b"\xef\xbb\xbf{\"detail\":\"s\xe4hk\xf6\"}");
        assert_eq!(value["detail"], "s\u{fffd}hk\u{fffd}");
    }
}
