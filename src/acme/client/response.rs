//! A response of the CA, read to its end.

use std::time::{Duration, SystemTime};

use http::header::{DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::link::links;
use crate::acme::error::{Error, Step};
use crate::acme::jws::Nonce;
use crate::acme::resource::{Excerpt, Problem, ProblemKind, read_json};

const REPLAY_NONCE: HeaderName = HeaderName::from_static("replay-nonce");

/// Longest Retry-After that is believed. A longer one is a mistake of the CA, and sums with it could overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// A response with its body.
#[derive(Debug)]
pub(in crate::acme) struct Response {
    pub(in crate::acme) step: Step,
    pub(in crate::acme) url: Url,
    pub(in crate::acme) status: StatusCode,
    pub(in crate::acme) headers: HeaderMap,
    pub(in crate::acme) body: Vec<u8>,
}

impl Response {
    /// Returns the response if it is a success, else the error in it.
    pub(in crate::acme) fn success(self) -> Result<Self, Error> {
        if self.status.is_success() {
            Ok(self)
        } else {
            Err(self.into_error())
        }
    }

    fn into_error(self) -> Error {
        let retry_after = self.retry_after();
        match Problem::parse(&self.body) {
            Some(mut problem) => {
                if problem.kind == ProblemKind::UserActionRequired && problem.instance.is_none() {
                    problem.instance = self.terms_of_service();
                }
                if self.step.is_about_account() {
                    problem = Box::new(problem.not_about_name());
                }
                Error::Refused {
                    step: self.step,
                    status: self.status,
                    problem,
                    retry_after,
                }
            }
            None => Error::Status {
                step: self.step,
                status: self.status,
                excerpt: Excerpt::of(&self.body),
                retry_after,
            },
        }
    }

    /// Returns the URL of the CA's current terms (RFC 8555 section 7.3.3).
    fn terms_of_service(&self) -> Option<String> {
        let links = links(&self.headers, &self.url, "terms-of-service");
        links.first().map(Url::to_string)
    }

    /// Parses the body as a resource.
    pub(in crate::acme) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        read_json(&self.body, Some(&self.url)).map_err(|source| Error::Json {
            step: self.step,
            source,
        })
    }

    /// Returns the nonce for a later request.
    pub(in crate::acme) fn nonce(&self) -> Option<Nonce> {
        Nonce::parse(self.text(&REPLAY_NONCE)?)
    }

    /// `true` if the request was refused because of its nonce (RFC 8555 section 6.5). The status should be 400, but some CAs
    /// send another one.
    pub(in crate::acme) fn is_bad_nonce(&self) -> bool {
        !self.status.is_success()
            && Problem::parse(&self.body)
                .is_some_and(|problem| problem.kind == ProblemKind::BadNonce)
    }

    /// Returns the URL of the new resource. An absolute URL is returned exactly as the CA wrote it.
    pub(in crate::acme) fn location(&self) -> Result<String, Error> {
        let missing = || Error::Header {
            step: self.step,
            header: "Location",
        };
        let text = self.text(&LOCATION).ok_or_else(missing)?;
        match Url::parse(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Ok(self.url.join(text).map_err(|_| missing())?.into()),
        }
    }

    /// Returns the value of Retry-After (RFC 9110 section 10.2.3). A date is compared with the CA's own clock.
    pub(in crate::acme) fn retry_after(&self) -> Option<Duration> {
        let text = self.text(&RETRY_AFTER)?.trim();
        let wait = match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => self.until(httpdate::parse_http_date(text).ok()?)?,
        };
        (!wait.is_zero()).then(|| wait.min(LONGEST_WAIT))
    }

    /// Returns the time of the CA's clock.
    pub(in crate::acme) fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.text(&DATE)?).ok()
    }

    fn until(&self, then: SystemTime) -> Option<Duration> {
        let now = self.date().unwrap_or_else(SystemTime::now);
        then.duration_since(now).ok()
    }

    fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).map(HeaderValue::to_str)?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&'static str, &str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        Response {
            step: Step::Order,
            url: Url::parse("https://ca.test/dir/order").unwrap(),
            status: StatusCode::OK,
            headers: headers.collect(),
            body: Vec::new(),
        }
    }

    #[test]
    fn retry_after_is_in_seconds_or_a_date_of_the_ca_clock() {
        let date = ("date", "Thu, 01 Jan 1970 00:01:00 GMT");
        for (value, expected) in [
            ("120", Some(Duration::from_secs(120))),
            (
                "Thu, 01 Jan 1970 00:03:00 GMT",
                Some(Duration::from_secs(120)),
            ),
            ("Thu, 01 Jan 1970 00:00:30 GMT", None),
            ("0", None),
            ("-5", None),
            ("soon", None),
            ("18446744073709551615", Some(LONGEST_WAIT)),
        ] {
            let response = response(&[date, ("retry-after", value)]);
            assert_eq!(response.retry_after(), expected, "{value}");
        }
    }

    #[test]
    fn new_terms_are_found_in_the_link_of_the_answer() {
        let mut answer = response(&[("link", "<https://ca.test/terms>;rel=\"terms-of-service\"")]);
        answer.status = StatusCode::FORBIDDEN;
        answer.body = br#"{"type":"urn:ietf:params:acme:error:userActionRequired"}"#.to_vec();
        let sentence = answer.success().err().unwrap().to_string();
        assert!(
            sentence.ends_with("; see https://ca.test/terms"),
            "{sentence}"
        );
    }

    #[test]
    fn a_refused_account_request_does_not_speak_of_a_name() {
        for (step, words) in [
            (
                Step::KeyChange,
                "could not change the account's key: the CA refused: not supported",
            ),
            (
                Step::NewOrder,
                "could not place the order: the CA refuses to issue for this name: not supported",
            ),
        ] {
            let mut answer = response(&[]);
            answer.step = step;
            answer.status = StatusCode::BAD_REQUEST;
            answer.body =
                br#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"not supported"}"#
                    .to_vec();
            assert_eq!(answer.success().err().unwrap().to_string(), words);
        }
    }

    #[test]
    fn a_location_is_kept_verbatim_and_a_relative_one_resolved() {
        for (value, expected) in [
            ("https://CA.test:443/acct/1", "https://CA.test:443/acct/1"),
            ("../acct/1", "https://ca.test/acct/1"),
        ] {
            assert_eq!(
                response(&[("location", value)]).location().unwrap(),
                expected
            );
        }
        assert!(response(&[]).location().is_err());
    }
}
