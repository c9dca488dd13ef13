//! The JSON Schema of a Proxyfile, made from the table of all keys, for editors and validators.

use serde_json::{Map, Value, json};

use crate::config::keys::{Key, Kind, PROXYFILE};

/// Returns the JSON Schema (draft 2020-12) of a Proxyfile. A file that it accepts may still be wrong: the schema knows kinds
/// of values, and `proxy check` knows their meaning.
#[must_use]
pub fn schema() -> Value {
    let mut schema = table(PROXYFILE);
    schema.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    schema.insert("title".to_owned(), "Proxyfile".into());
    schema.into()
}

fn table(keys: &[Key]) -> Map<String, Value> {
    let properties = keys.iter().map(|key| (key.name.to_owned(), property(key)));
    let required = keys.iter().filter(|key| key.is_required);
    let required: Vec<_> = required.map(|key| key.name).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert(
        "properties".to_owned(),
        properties.collect::<Map<_, _>>().into(),
    );
    schema.insert("additionalProperties".to_owned(), false.into());
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = kind(&key.kind);
    schema.insert("description".to_owned(), key.doc.trim().into());
    if let Some(example) = example(key.example) {
        schema.insert("examples".to_owned(), json!([example]));
    }
    schema.into()
}

/// Returns the JSON form of a value in TOML.
fn example(text: &str) -> Option<Value> {
    let document: toml::Table = format!("value = {text}").parse().ok()?;
    serde_json::to_value(document.get("value")?).ok()
}

fn kind(kind: &Kind) -> Map<String, Value> {
    let one = |name: &str, value: Value| Map::from_iter([(name.to_owned(), value)]);
    match kind {
        Kind::Boolean => one("type", "boolean".into()),
        Kind::False => one("const", false.into()),
        Kind::Text(_) | Kind::Duration => one("type", "string".into()),
        Kind::Number | Kind::Size => one("type", json!(["integer", "string"])),
        Kind::Fraction => {
            let mut schema = one("type", "number".into());
            schema.insert("minimum".to_owned(), 0.into());
            schema.insert("maximum".to_owned(), 1.into());
            schema
        }
        Kind::Choice(words) => one("enum", json!(words)),
        Kind::List(_, element) => {
            let mut schema = one("type", "array".into());
            schema.insert("items".to_owned(), self::kind(element).into());
            schema
        }
        Kind::Table(keys) => table(keys),
        Kind::Map(entry) => {
            let mut schema = one("type", "object".into());
            schema.insert("additionalProperties".to_owned(), self::kind(entry).into());
            schema
        }
        Kind::AnyOf(kinds) => {
            let kinds: Vec<Value> = kinds.iter().map(|it| self::kind(it).into()).collect();
            one("anyOf", kinds.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_sentence_its_kind_and_an_example() {
        let schema = schema();
        let email = &schema["properties"]["email"];
        let expected = json!({
            "type": "string",
            "description": "The contact for the CA.",
            "examples": ["ops@example.org"],
        });
        assert_eq!(*email, expected);
        let limits = &schema["properties"]["limits"];
        assert_eq!(limits["additionalProperties"], false);
        assert_eq!(
            limits["properties"]["streams"]["type"],
            json!(["integer", "string"])
        );
        let site = &schema["properties"]["sites"]["additionalProperties"]["anyOf"];
        assert_eq!(site[0]["type"], "string");
        assert_eq!(site[2]["properties"]["balance"]["enum"][0], "random-two");
    }

    #[test]
    fn every_example_is_a_value_of_toml() {
        fn look(schema: &Value) {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                assert!(property["examples"].is_array(), "{name}");
                look(property);
            }
            let inner = ["items", "additionalProperties"].map(|name| &schema[name]);
            inner.into_iter().filter(|it| it.is_object()).for_each(look);
            schema["anyOf"]
                .as_array()
                .into_iter()
                .flatten()
                .for_each(look);
        }
        look(&schema());
    }
}
