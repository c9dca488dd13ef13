//! Typed DNS answers: CAA sets, TXT texts and zones.

use std::net::SocketAddr;

use hickory_resolver::proto::rr::RData;

/// CAA records that apply to a name (RFC 8659).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaSet {
    /// Owner of the records: the requested name or one of its parents.
    pub name: String,
    /// Records; never empty.
    pub records: Vec<Caa>,
}

/// One property of a CAA record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caa {
    /// Whether a CA that does not know the tag must refuse to issue.
    pub is_critical: bool,
    /// Tag in lower case, such as `issue`, `issuewild` or `iodef`.
    pub tag: String,
    /// Unparsed value, such as `letsencrypt.org; validationmethods=dns-01`.
    pub value: String,
}

impl Caa {
    /// Returns the CA in an `issue` or `issuewild` property; empty if the property forbids every CA.
    #[must_use]
    pub fn issuer_domain(&self) -> &str {
        let domain = self.value.split(';').next().unwrap_or_default();
        domain.trim()
    }
}

/// DNS zone with its authoritative name servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Name of the zone, without the final dot.
    pub name: String,
    /// Name servers of the zone. Those whose addresses are unknown are included.
    pub servers: Vec<ZoneServer>,
}

/// Name server of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneServer {
    /// Host name of the server.
    pub name: String,
    /// Addresses of the server; empty if they are unknown.
    pub addresses: Vec<SocketAddr>,
}

pub(super) fn caa(data: &RData) -> Option<Caa> {
    let RData::CAA(record) = data else {
        return None;
    };
    Some(Caa {
        is_critical: record.issuer_critical,
        tag: record.tag.to_ascii_lowercase(),
        value: String::from_utf8_lossy(&record.value).into_owned(),
    })
}

/// Joins the strings of a TXT record. How a text is divided into strings has no meaning for ACME (RFC 8555 section 8.4).
pub(super) fn txt(data: &RData) -> Option<String> {
    let RData::TXT(record) = data else {
        return None;
    };
    let bytes = record.txt_data.concat();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caa_property_names_its_ca_before_the_parameters() {
        for (value, domain) in [
            ("letsencrypt.org", "letsencrypt.org"),
            (" ca.example ; account=1", "ca.example"),
            (";", ""),
            ("", ""),
        ] {
            let caa = Caa {
                is_critical: false,
                tag: "issue".to_owned(),
                value: value.to_owned(),
            };
            assert_eq!(caa.issuer_domain(), domain, "{value:?}");
        }
    }
}
