//! Tolerant reading of the JSON of a CA. A member that is null or empty counts as missing, a member of the wrong type gets
//! its default, and a relative URL is resolved against the URL of the response.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::Url;

/// The members of resources that hold a URL.
const URLS: [&str; 10] = [
    "newNonce",
    "newAccount",
    "newOrder",
    "revokeCert",
    "keyChange",
    "renewalInfo",
    "orders",
    "finalize",
    "certificate",
    CHALLENGE_URL,
];

/// The member of a challenge that holds its URL.
const CHALLENGE_URL: &str = "url";

/// The member of an order that holds a list of URLs.
const AUTHORIZATIONS: &str = "authorizations";

/// The member of an authorization that holds a list of challenges.
const CHALLENGES: &str = "challenges";

/// Most items of a list of URLs or challenges. An order is for one name, and a challenge has a handful of types.
const LONGEST_LIST: usize = 100;

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
    tidy(&mut value);
    if let Some(base) = base {
        resolve(&mut value, base);
    }
    serde_json::from_value(value)
}

/// Removes the members and items without content.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if name != PROFILES {
                    tidy(member);
                }
            }
            members.retain(|_, member| has_content(member));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(tidy);
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

/// Makes the URLs of a resource absolute. Each gets as long as the base, so that only those are resolved that are used, and
/// lists are cut before.
fn resolve(resource: &mut Value, base: &Url) {
    for name in URLS {
        make_absolute(resource.get_mut(name), base);
    }
    for url in list(resource, AUTHORIZATIONS) {
        make_absolute(Some(url), base);
    }
    for challenge in list(resource, CHALLENGES) {
        make_absolute(challenge.get_mut(CHALLENGE_URL), base);
    }
}

/// Returns the items of a list, which is cut. A value that is not a list is a list of one item.
fn list<'a>(resource: &'a mut Value, name: &str) -> &'a mut [Value] {
    match resource.get_mut(name) {
        Some(Value::Array(items)) => {
            items.truncate(LONGEST_LIST);
            items
        }
        Some(single) => std::slice::from_mut(single),
        None => &mut [],
    }
}

fn make_absolute(member: Option<&mut Value>, base: &Url) {
    if let Some(Value::String(text)) = member
        && let Ok(url) = base.join(text)
    {
        *text = url.into();
    }
}

/// Deserializes a member. One of the wrong type becomes the default.
pub(in crate::acme) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
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
    fn an_answer_does_not_grow_with_its_base() {
        let path = "p".repeat(4000);
        let base = Url::parse(&format!("https://ca.test/{path}/dir")).unwrap();
        let many = |item: Value| vec![item; 50_000];
        let body = json!({
            "authorizations": many(json!("a")), "challenges": many(json!({"url": "a"})),
            "orders": many(json!("a")), "other": many(json!({"url": "a", "finalize": "a"})),
        });
        let read: Value = read(body.to_string().as_bytes(), Some(&base)).unwrap();
        assert_eq!(
            read["authorizations"].as_array().unwrap().len(),
            LONGEST_LIST
        );
        assert_eq!(read["challenges"].as_array().unwrap().len(), LONGEST_LIST);
        let length = read.to_string().len();
        assert!(length < 4_000_000, "{length}");
    }

    #[test]
    fn a_byte_order_mark_and_text_in_latin_1_are_read() {
        let value = read_value(b"\xef\xbb\xbf{\"detail\":\"s\xe4hk\xf6\"}");
        assert_eq!(value["detail"], "s\u{fffd}hk\u{fffd}");
    }
}
