//! The field Alt-Svc, by which clients of HTTPS learn that they are served over HTTP/3 too (RFC 7838, RFC 9114 section 3.1).

use http::HeaderValue;

use crate::listener_names::ListenerId;

/// Seconds for which clients remember it.
const MAX_AGE: u32 = 24 * 60 * 60;

/// The fields for responses of each HTTPS listener that has one.
#[derive(Clone, Debug, Default)]
pub struct AltSvc(Vec<(ListenerId, HeaderValue)>);

/// Whether a listener serves HTTP/3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http3Service {
    /// At this port, as clients see it.
    At(u16),
    /// No longer: clients that remember it are told.
    Ended,
}

impl AltSvc {
    /// Returns the field of a listener.
    pub(super) fn of(&self, listener: ListenerId) -> Option<&HeaderValue> {
        let mut fields = self.0.iter();
        fields.find_map(|(of, field)| (*of == listener).then_some(field))
    }
}

impl FromIterator<(ListenerId, Http3Service)> for AltSvc {
    /// Of several listeners with one name, the first one that serves HTTP/3 counts.
    fn from_iter<I: IntoIterator<Item = (ListenerId, Http3Service)>>(services: I) -> Self {
        let mut services: Vec<_> = services.into_iter().collect();
        services.sort_by_key(|(_, service)| *service == Http3Service::Ended);
        let fields = services.into_iter().map(|(listener, service)| {
            let field = match service {
                Http3Service::At(port) => format!("h3=\":{port}\"; ma={MAX_AGE}"),
                Http3Service::Ended => "clear".to_owned(),
            };
            let field = HeaderValue::try_from(field);
            (listener, field.expect("the field is visible ASCII"))
        });
        Self(fields.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener_names::ListenerNames;

    #[test]
    fn a_listener_names_the_port_of_http3_or_takes_it_back() {
        let names = ListenerNames::default().with(["lan", "vpn"]);
        let id = |name| names.id(name).unwrap();
        let alt_svc = AltSvc::from_iter([
            (id("default"), Http3Service::At(8443)),
            (id("lan"), Http3Service::Ended),
            (id("lan"), Http3Service::At(443)),
            (id("vpn"), Http3Service::Ended),
        ]);
        let field = |name| alt_svc.of(id(name)).map(|field| field.to_str().unwrap());
        assert_eq!(field("default"), Some("h3=\":8443\"; ma=86400"));
        assert_eq!(field("lan"), Some("h3=\":443\"; ma=86400"));
        assert_eq!(field("vpn"), Some("clear"));
        assert!(AltSvc::default().of(id("lan")).is_none());
    }
}
