//! What DNS answered.

use std::net::SocketAddr;

use hickory_resolver::proto::rr::RData;

/// Who may issue for a name (RFC 8659).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaSet {
    /// The name that the records are at: the asked one or a parent.
    pub name: String,
    /// At least one.
    pub records: Vec<Caa>,
}

/// One property of a CAA record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caa {
    /// Whether a CA that does not know the tag must refuse.
    pub is_critical: bool,
    /// `issue`, `issuewild`, `iodef` or another one, in lower case.
    pub tag: String,
    /// As it is in the record, such as `letsencrypt.org; validationmethods=dns-01`.
    pub value: String,
}

impl Caa {
    /// The CA that an `issue` or `issuewild` property names; empty where it forbids every CA.
    #[must_use]
    pub fn issuer_domain(&self) -> &str {
        let domain = self.value.split(';').next().unwrap_or_default();
        domain.trim()
    }
}

/// A zone with the servers that are its authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The zone's own name, without the last dot.
    pub name: String,
    /// Its servers; one whose name has no address has none here.
    pub servers: Vec<ZoneServer>,
}

/// One of the name servers of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneServer {
    /// Its host name.
    pub name: String,
    /// Where it answers.
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

/// The strings of a TXT record are one text (RFC 8555 section 8.4 has no say in how it is cut).
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
