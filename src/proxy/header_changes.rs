//! Changes to header fields that the operator configures.

use std::fmt;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::request::{PlaceholderError, RequestContext, Template};
use crate::upstream::{is_client_field, never_passes, remove_other_spellings};

/// Reason why a change to a header field is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderChangeError {
    /// The text is not a valid field name.
    #[error("`{0}` is not a valid header name; use a form like `X-Frame-Options`")]
    Name(String),
    /// The field frames or routes a message, or only the proxy may set it.
    #[error("`{0}` is set by the proxy and cannot be changed; {fix}", fix = fix_of_owned(.0))]
    Owned(HeaderName),
    /// The value has control characters.
    #[error("the value of `{0}` has a character that headers cannot have; use visible ASCII")]
    Value(HeaderName),
    /// The value has an unknown placeholder.
    #[error(transparent)]
    Placeholder(#[from] PlaceholderError),
}

/// Says what to do instead of changing a field that the proxy sets.
fn fix_of_owned(name: &HeaderName) -> &'static str {
    if *name == HOST {
        "remove it here, and set `upstream-options.host`"
    } else {
        "remove it here"
    }
}

/// Placeholder for a fact of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    Client,
    Host,
    Sni,
}

/// Fields whose values are secrets even when they are written in the Proxyfile itself.
const SECRET: [&str; 11] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-access-token",
    "x-auth-key",
    "x-vault-token",
    "private-token",
    "x-amz-security-token",
];

const FACTS: [(&str, Fact); 3] = [
    ("client", Fact::Client),
    ("host", Fact::Host),
    ("sni", Fact::Sni),
];

/// One change to one field. `Debug` shows the value as [`Self::shown`] does.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderChange {
    kind: ChangeKind,
    name: HeaderName,
    value: Template<Fact>,
}

/// Kind of change to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Removes all values of the field.
    Remove,
    /// Replaces all values of the field with one.
    Set,
    /// Adds a value to the field.
    Add,
}

/// Secret value. `Debug` shows its source only.
#[derive(Clone, Copy)]
pub struct HeaderSecret<'s> {
    /// Source that the value was read from, which is shown instead of it.
    pub source: &'s str,
    /// Value itself.
    pub text: &'s str,
}

impl fmt::Debug for HeaderSecret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderSecret({})", self.source)
    }
}

impl HeaderChange {
    /// Creates the removal of a field.
    pub fn remove(name: &str) -> Result<Self, HeaderChangeError> {
        Self::new(ChangeKind::Remove, name, "")
    }

    /// Creates a change. `{client}`, `{host}` and `{sni}` in the value are filled in for each request.
    pub fn new(kind: ChangeKind, name: &str, value: &str) -> Result<Self, HeaderChangeError> {
        let name = parse_name(name)?;
        let value = parse_value(&name, value)?;
        Ok(Self { kind, name, value })
    }

    /// Creates a change with a secret value, which is used literally, without placeholders. Only its source is shown.
    pub fn secret(
        kind: ChangeKind,
        name: &str,
        secret: HeaderSecret<'_>,
    ) -> Result<Self, HeaderChangeError> {
        let name = parse_name(name)?;
        HeaderValue::from_str(secret.text).map_err(|_| HeaderChangeError::Value(name.clone()))?;
        let value = Template::hidden(secret.source, secret.text);
        Ok(Self { kind, name, value })
    }

    /// Kind of the change.
    #[must_use]
    pub fn kind(&self) -> ChangeKind {
        self.kind
    }

    /// Name of the field.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Value with its placeholders, or the source of a secret. `None` for a secret that is written in the Proxyfile
    /// itself.
    #[must_use]
    pub fn shown(&self) -> Option<&str> {
        let is_secret = SECRET.contains(&self.name.as_str());
        let is_literal = self.kind != ChangeKind::Remove && !self.value.is_hidden();
        (!is_secret || !is_literal).then(|| self.value.text())
    }

    fn apply(&self, headers: &mut HeaderMap, context: &RequestContext<'_>) {
        match self.kind {
            ChangeKind::Remove => drop(headers.remove(&self.name)),
            ChangeKind::Set => drop(headers.insert(self.copied_name(), fill(&self.value, context))),
            ChangeKind::Add => {
                headers.append(self.copied_name(), fill(&self.value, context));
            }
        }
    }

    /// Copies the name, since all cores would write the reference count of a shared one.
    fn copied_name(&self) -> HeaderName {
        HeaderName::from_bytes(self.name.as_str().as_bytes()).expect("a copied name is valid")
    }
}

impl fmt::Debug for HeaderChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderChange")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("value", &self.shown())
            .finish()
    }
}

/// Changes that are applied one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderChanges {
    changes: Box<[HeaderChange]>,
    owned: Arc<[HeaderName]>,
}

impl HeaderChanges {
    /// Collects changes in their order. `None` if there are none.
    #[must_use]
    pub fn new(changes: impl IntoIterator<Item = HeaderChange>) -> Option<Box<Self>> {
        let changes: Box<[HeaderChange]> = changes.into_iter().collect();
        let owned = changes
            .iter()
            .filter(|change| change.kind != ChangeKind::Add)
            .map(|change| change.name.clone())
            .collect();
        (!changes.is_empty()).then(|| Box::new(Self { changes, owned }))
    }

    /// `true` if any of the changes affects this field.
    pub(crate) fn affect(&self, name: &HeaderName) -> bool {
        self.changes.iter().any(|change| change.name == name)
    }

    pub(crate) fn apply(&self, headers: &mut HeaderMap, context: &RequestContext<'_>) {
        for change in &self.changes {
            change.apply(headers, context);
        }
    }

    /// Removes the fields that an app could take for those that are set or removed.
    pub(crate) fn remove_other_spellings(&self, headers: &mut HeaderMap) {
        remove_other_spellings(headers, &self.owned);
    }

    /// Names of the fields whose previous values are removed.
    pub(crate) fn owned(&self) -> &Arc<[HeaderName]> {
        &self.owned
    }
}

fn parse_name(text: &str) -> Result<HeaderName, HeaderChangeError> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| HeaderChangeError::Name(text.to_owned()))?;
    // Many apps read the client's address from X-Real-IP.
    if frames_message(&name) || (is_client_field(name.as_str()) && name != "x-real-ip") {
        return Err(HeaderChangeError::Owned(name));
    }
    Ok(name)
}

/// `true` for fields that frame or route a message, or never pass: only the proxy sets them.
#[must_use]
pub fn frames_message(name: &HeaderName) -> bool {
    matches!(*name, CONTENT_LENGTH | EXPECT | HOST | TRAILER) || never_passes(name.as_str())
}

fn parse_value(name: &HeaderName, text: &str) -> Result<Template<Fact>, HeaderChangeError> {
    HeaderValue::from_str(text).map_err(|_| HeaderChangeError::Value(name.clone()))?;
    Ok(Template::parse(text, &FACTS)?)
}

fn fill(template: &Template<Fact>, context: &RequestContext<'_>) -> HeaderValue {
    let value = template.filled(|fact, value| {
        value.extend_from_slice(match fact {
            Fact::Client => context.client().as_bytes(),
            Fact::Host => context.host.name().as_bytes(),
            Fact::Sni => context
                .conn
                .sni
                .as_ref()
                .map_or("", |sni| sni.as_str())
                .as_bytes(),
        });
    });
    HeaderValue::try_from(value).expect("checked texts joined with valid values are a valid value")
}

#[cfg(test)]
mod tests {
    use http::{Request, Version};
    use proptest::prelude::*;

    use super::*;
    use crate::name::HostName;
    use crate::proxy::{ConnInfo, ServiceOptions};

    fn secret(text: &str) -> HeaderSecret<'_> {
        let source = "env:TOKEN";
        HeaderSecret { source, text }
    }

    #[test]
    fn a_secret_is_sent_literally_and_shown_as_its_source() {
        let name = "Authorization";
        let change = HeaderChange::secret(ChangeKind::Set, name, secret("Bearer {client}"));
        let change = change.unwrap();
        assert!(!format!("{change:?}").contains("Bearer"));
        assert_eq!(change.shown(), Some("env:TOKEN"));
        let mut headers = HeaderMap::new();
        apply(&[change], &mut headers);
        assert_eq!(headers["authorization"], "Bearer {client}");
        let literal = HeaderChange::new(ChangeKind::Set, name, "Bearer hush").unwrap();
        assert!(!format!("{literal:?}").contains("hush"));
        assert_eq!(literal.shown(), None);
        let broken = HeaderChange::secret(ChangeKind::Set, name, secret("a\nb"));
        assert!(!broken.unwrap_err().to_string().contains("a\nb"));
    }

    fn apply(changes: &[HeaderChange], headers: &mut HeaderMap) {
        let sni = HostName::parse("www.example.org").unwrap();
        let conn = ConnInfo::new("192.0.2.7:40000".parse().unwrap(), Some(sni));
        let request = Request::get("https://shop.example.org:8443/").version(Version::HTTP_2);
        let request = request.body(()).unwrap();
        let mut context = RequestContext::new(&request, &conn, 0);
        let options = ServiceOptions::default();
        context.read_head(&request, &options).unwrap();
        if let Some(changes) = HeaderChanges::new(changes.to_vec()) {
            changes.apply(headers, &context);
        }
    }

    #[test]
    fn placeholders_are_filled_with_facts_of_the_request() {
        let mut headers = HeaderMap::new();
        let change =
            HeaderChange::new(ChangeKind::Set, "X-Who", "{client} at {host} by {sni}").unwrap();
        apply(&[change], &mut headers);
        assert_eq!(
            headers["x-who"],
            "192.0.2.7 at shop.example.org by www.example.org"
        );
    }

    #[test]
    fn fields_that_frame_or_route_a_message_cannot_be_changed() {
        for name in [
            "Host",
            "connection",
            "Content-Length",
            "Transfer-Encoding",
            "TE",
            "Trailer",
            "Upgrade",
            "Keep-Alive",
            "Proxy-Connection",
            "Expect",
            "X-Forwarded-For",
            "x_forwarded_proto",
            "transfer_encoding",
            "Content.Length",
            "Proxy",
            "Forwarded",
        ] {
            for change in [
                HeaderChange::remove(name),
                HeaderChange::new(ChangeKind::Set, name, "x"),
                HeaderChange::new(ChangeKind::Add, name, "x"),
            ] {
                assert!(matches!(change, Err(HeaderChangeError::Owned(_))), "{name}");
            }
        }
        assert!(HeaderChange::new(ChangeKind::Set, "X-Real-IP", "{client}").is_ok());
    }

    #[test]
    fn invalid_names_values_and_placeholders_are_refused() {
        let name = HeaderChange::new(ChangeKind::Set, "a b", "x").unwrap_err();
        assert_eq!(name, HeaderChangeError::Name("a b".to_owned()));
        let value = HeaderChange::new(ChangeKind::Add, "x-a", "1\r\nx-b: 2").unwrap_err();
        assert!(matches!(value, HeaderChangeError::Value(_)));
        let unknown = HeaderChange::new(ChangeKind::Set, "x-a", "{secret}").unwrap_err();
        assert!(matches!(unknown, HeaderChangeError::Placeholder(_)));
    }

    const NAMES: [&str; 4] = ["x-a", "x-b", "cache-control", "set-cookie"];

    #[derive(Clone, Debug)]
    enum Op {
        Remove(usize),
        Set(usize, u8),
        Add(usize, u8),
    }

    impl Op {
        fn change(&self) -> HeaderChange {
            match self {
                Self::Remove(name) => HeaderChange::remove(NAMES[*name]),
                Self::Set(name, value) => {
                    HeaderChange::new(ChangeKind::Set, NAMES[*name], &value.to_string())
                }
                Self::Add(name, value) => {
                    HeaderChange::new(ChangeKind::Add, NAMES[*name], &value.to_string())
                }
            }
            .unwrap()
        }

        /// Applies the change to a plain list of fields.
        fn apply(&self, fields: &mut Vec<(usize, u8)>) {
            match *self {
                Self::Remove(name) => fields.retain(|field| field.0 != name),
                Self::Set(name, value) => {
                    fields.retain(|field| field.0 != name);
                    fields.push((name, value));
                }
                Self::Add(name, value) => fields.push((name, value)),
            }
        }
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..NAMES.len()).prop_map(Op::Remove),
            (0..NAMES.len(), any::<u8>()).prop_map(|(name, value)| Op::Set(name, value)),
            (0..NAMES.len(), any::<u8>()).prop_map(|(name, value)| Op::Add(name, value)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn changes_have_the_same_effect_on_a_plain_list(
            before in proptest::collection::vec((0..NAMES.len(), any::<u8>()), 0..6),
            ops in proptest::collection::vec(op(), 0..8),
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in &before {
                headers.append(NAMES[*name], HeaderValue::from(u16::from(*value)));
            }
            let changes: Vec<_> = ops.iter().map(Op::change).collect();
            apply(&changes, &mut headers);

            let mut fields = before;
            for op in &ops {
                op.apply(&mut fields);
            }
            for (index, name) in NAMES.iter().enumerate() {
                let kept: Vec<_> = headers.get_all(*name).iter().cloned().collect();
                let expected: Vec<_> = fields
                    .iter()
                    .filter(|field| field.0 == index)
                    .map(|field| HeaderValue::from(u16::from(field.1)))
                    .collect();
                prop_assert_eq!(kept, expected);
            }
        }
    }
}
