//! One DNS question, and the conversion of its failures.

use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::error::ResolverError;
use crate::dns_client::ClientError;

/// Name to look up.
pub(super) struct Question {
    name: Name,
    pub(super) text: String,
}

impl Question {
    pub(super) fn new(text: &str) -> Result<Self, ResolverError> {
        match Name::from_ascii(text) {
            Ok(name) if !name.is_root() && !text.is_empty() => Ok(Self::of(name)),
            _ => Err(ResolverError::Name(text.to_owned())),
        }
    }

    pub(super) fn of(mut name: Name) -> Self {
        name.set_fqdn(true);
        let text = plain(&name);
        Self { name, text }
    }

    /// Returns the name and then its parents up to the top-level domain.
    pub(super) fn with_parents(self) -> impl Iterator<Item = Self> {
        let parent = |question: &Self| {
            let base = question.name.base_name();
            (!base.is_root()).then(|| Self::of(base))
        };
        std::iter::successors(Some(self), parent)
    }

    pub(super) async fn ask(
        &self,
        client: &TokioResolver,
        kind: RecordType,
    ) -> Result<Vec<RData>, ResolverError> {
        let answer = client.lookup(self.name.clone(), kind).await;
        let answer = answer.map_err(|error| self.error(kind.into(), error))?;
        let of_kind = |record: &&Record| record.record_type() == kind;
        let records = answer.answers().iter().filter(of_kind);
        let records: Vec<_> = records.map(|record| record.data.clone()).collect();
        if records.is_empty() {
            Err(self.no_answer(kind.into()))
        } else {
            Ok(records)
        }
    }

    fn no_answer(&self, kind: &'static str) -> ResolverError {
        ResolverError::NoAnswer {
            name: self.text.clone(),
            kind,
        }
    }

    pub(super) fn no_client(&self, error: ClientError) -> ResolverError {
        match error {
            ClientError::SystemSettings(source) => ResolverError::System(source),
            ClientError::Setup(source) => self.failed(source),
        }
    }

    fn failed(&self, source: NetError) -> ResolverError {
        ResolverError::Failed {
            name: self.text.clone(),
            source,
        }
    }

    fn error(&self, kind: &'static str, error: NetError) -> ResolverError {
        match error {
            _ if error.is_nx_domain() => ResolverError::NoSuchName(self.text.clone()),
            _ if error.is_no_records_found() => self.no_answer(kind),
            NetError::Dns(DnsError::ResponseCode(code)) => ResolverError::Refused {
                name: self.text.clone(),
                code,
            },
            NetError::Timeout => ResolverError::Timeout(self.text.clone()),
            source => self.failed(source),
        }
    }
}

/// Turns an absence into `None`.
pub(super) fn present(
    answer: Result<Vec<RData>, ResolverError>,
) -> Result<Option<Vec<RData>>, ResolverError> {
    match answer {
        Ok(records) => Ok(Some(records)),
        Err(error) if error.is_absence() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the name in lower case, without the final dot.
pub(super) fn plain(name: &Name) -> String {
    plain_text(&name.to_lowercase().to_ascii()).to_owned()
}

pub(super) fn plain_text(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_parents_up_to_the_top_level_domain() {
        let question = Question::new("_acme-challenge.Home.example.ORG").unwrap();
        let asked: Vec<_> = question.with_parents().map(|name| name.text).collect();
        assert_eq!(
            asked,
            [
                "_acme-challenge.home.example.org",
                "home.example.org",
                "example.org",
                "org"
            ]
        );
        for text in ["", ".", "a..b", &"a".repeat(64)] {
            assert!(Question::new(text).is_err(), "{text:?}");
        }
    }
}
