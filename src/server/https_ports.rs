//! The ports of the HTTPS listeners, for redirects to them.

use crate::listener_names::ListenerId;
use crate::proxy::Site;

/// Port that no URL needs to name.
pub(super) const DEFAULT_PORT: u16 = 443;

/// Ports of the HTTPS listeners with the names of these, in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub struct HttpsPorts(Vec<(ListenerId, u16)>);

impl HttpsPorts {
    /// Returns the port to which a listener redirects the requests of a site: that of the HTTPS listener with the same name,
    /// else that of the first one on which the site is served.
    pub(super) fn of(&self, site: &Site, listener: ListenerId) -> u16 {
        let port = |wanted| {
            let mut ports = self.0.iter();
            ports.find_map(|(listener, port)| (*listener == wanted).then_some(*port))
        };
        let same_name = site.listeners.contains(listener).then(|| port(listener));
        let others = || site.listeners.iter().find_map(port);
        same_name.flatten().or_else(others).unwrap_or(DEFAULT_PORT)
    }
}

impl FromIterator<(ListenerId, u16)> for HttpsPorts {
    fn from_iter<I: IntoIterator<Item = (ListenerId, u16)>>(ports: I) -> Self {
        Self(ports.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener_names::ListenerNames;
    use crate::name::HostPattern;
    use crate::proxy::{Handler, Redirect};

    #[test]
    fn a_redirect_stays_on_listeners_of_its_name_where_it_can() {
        let names = ListenerNames::default().with(["lan", "vpn", "plain"]);
        let id = |name| names.id(name).unwrap();
        let ports = [
            ("default", 443),
            ("vpn", 9443),
            ("lan", 8443),
            ("lan", 8444),
        ];
        let ports = HttpsPorts::from_iter(ports.map(|(name, port)| (id(name), port)));
        for (at, listen, port) in [
            ("default", ["default", "default"], 443),
            ("lan", ["default", "lan"], 8443),
            ("default", ["default", "lan"], 443),
            ("plain", ["plain", "vpn"], 9443),
            ("plain", ["lan", "vpn"], 8443),
            ("plain", ["plain", "plain"], 443),
        ] {
            let moved = Redirect::parse("https://a.example").unwrap();
            let site = Site {
                listeners: names.set(&listen.map(str::to_owned)),
                ..Site::new(HostPattern::Any, Handler::Redirect(moved))
            };
            assert_eq!(ports.of(&site, id(at)), port, "{at} {listen:?}");
        }
    }
}
