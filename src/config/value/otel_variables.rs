//! The standard environment variables of OpenTelemetry that name a collector of traces.

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

use super::web_url::parse_collector_url;
use crate::config::report::{Problem, TracingProblem};
use crate::traces::{CollectorHeader, TraceOptions};

/// The only protocol of OTLP that the proxy speaks.
const PROTOCOL: &str = "http/protobuf";

/// A variable for traces, and the one for all signals. The former wins.
type Pair = [&'static str; 2];

const ENDPOINT: Pair = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
const HEADERS: Pair = [
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS",
];
const CERTIFICATE: Pair = [
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
];
const PROTOCOLS: Pair = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// Returns the value of a variable.
type Lookup = Box<dyn Fn(&str) -> Option<String>>;

/// The standard variables (OpenTelemetry Protocol Exporter).
pub(crate) struct OtelVariables {
    value: Lookup,
}

/// A variable that is set.
struct Found {
    name: &'static str,
    value: String,
}

impl OtelVariables {
    /// The variables of this process.
    pub(crate) fn of_process() -> Self {
        Self {
            value: Box::new(|name| std::env::var(name).ok()),
        }
    }

    /// Sets the endpoint, and each option whose key the file does not have.
    pub(crate) fn complete(
        &self,
        mut options: TraceOptions,
        has_key: impl Fn(&str) -> bool,
    ) -> Result<TraceOptions, Problem> {
        self.check_protocol()?;
        let endpoint = self.either(ENDPOINT).ok_or(TracingProblem::NoEndpoint)?;
        options.endpoint = parsed(&endpoint)?;
        options.is_whole_url = endpoint.name == ENDPOINT[0];
        if let Some(headers) = self.either(HEADERS).filter(|_| !has_key("headers")) {
            options.headers = header_list(&headers)?;
        }
        if let Some(root) = self.either(CERTIFICATE).filter(|_| !has_key("root")) {
            options.root = Some(root.value.into());
        }
        if let Some(service) = self.one(SERVICE_NAME).filter(|_| !has_key("service-name")) {
            options.service_name = service.value;
        }
        Ok(options)
    }

    fn check_protocol(&self) -> Result<(), TracingProblem> {
        match self.either(PROTOCOLS) {
            Some(Found { name, value }) if value != PROTOCOL => Err(TracingProblem::Protocol {
                variable: name,
                protocol: value,
            }),
            _ => Ok(()),
        }
    }

    fn either(&self, names: Pair) -> Option<Found> {
        names.into_iter().find_map(|name| self.one(name))
    }

    /// An empty variable counts as one that is not set.
    fn one(&self, name: &'static str) -> Option<Found> {
        let value = (self.value)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(Found { name, value })
    }
}

fn parsed(endpoint: &Found) -> Result<Url, TracingProblem> {
    parse_collector_url(&endpoint.value).map_err(|problem| TracingProblem::Variable {
        variable: endpoint.name,
        problem: Box::new(problem),
    })
}

/// Parses a list of header fields (W3C Baggage without properties). The values are secrets.
fn header_list(list: &Found) -> Result<Vec<CollectorHeader>, TracingProblem> {
    let fields = list.value.split(',').map(str::trim);
    let fields = fields.filter(|field| !field.is_empty());
    let parsed = fields.map(|field| {
        let (name, value) = field.split_once('=')?;
        let name = HeaderName::try_from(name.trim()).ok()?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let value = HeaderValue::from_str(&value).ok()?;
        Some(CollectorHeader::new(name, value, None))
    });
    let parsed: Option<_> = parsed.collect();
    parsed.ok_or(TracingProblem::HeaderList(list.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(set: &'static [(&str, &str)]) -> OtelVariables {
        OtelVariables {
            value: Box::new(move |name| {
                let found = set.iter().find(|(set, _)| *set == name);
                found.map(|(_, value)| (*value).to_owned())
            }),
        }
    }

    fn unset() -> TraceOptions {
        TraceOptions::new(Url::parse("http://unset.test").unwrap())
    }

    fn complete(set: &'static [(&str, &str)]) -> Result<TraceOptions, String> {
        let completed = variables(set).complete(unset(), |_| false);
        completed.map_err(|problem| problem.to_string())
    }

    #[test]
    fn the_variables_name_the_collector_its_fields_its_root_and_the_service() {
        let options = complete(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", " https://otlp.test/base "),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "x-key=a%20b, Authorization=Bearer t=,",
            ),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_SERVICE_NAME", "edge"),
        ])
        .unwrap();
        assert_eq!(options.endpoint.as_str(), "https://otlp.test/base");
        assert!(!options.is_whole_url);
        let field = |name: &'static str, value: &'static str| {
            let value = HeaderValue::from_static(value);
            CollectorHeader::new(HeaderName::from_static(name), value, None)
        };
        let fields = [field("x-key", "a b"), field("authorization", "Bearer t=")];
        assert_eq!(options.headers, fields);
        assert_eq!(options.root, Some("/etc/ca.pem".into()));
        assert_eq!(options.service_name, "edge");
    }

    #[test]
    fn variables_for_traces_win_and_their_endpoint_is_whole() {
        let options = complete(&[
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://traces.test/intake",
            ),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all.test"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=1"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "b=2"),
            ("OTEL_SERVICE_NAME", " "),
        ])
        .unwrap();
        assert_eq!(options.endpoint.as_str(), "http://traces.test/intake");
        assert!(options.is_whole_url);
        assert_eq!(options.headers[0].name, "a");
        assert_eq!(options.service_name, "proxy");
    }

    #[test]
    fn keys_of_the_file_win() {
        let set = variables(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all.test"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "b=2"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
            ("OTEL_SERVICE_NAME", "edge"),
        ]);
        let options = set.complete(unset(), |_| true).unwrap();
        let mut expected = unset();
        expected.endpoint = Url::parse("http://all.test").unwrap();
        assert_eq!(options, expected);
    }

    #[test]
    fn each_problem_names_its_variable_and_no_value_that_may_be_secret() {
        let cases: [(&'static [(&str, &str)], &str); 6] = [
            (
                &[],
                "set the environment variable OTEL_EXPORTER_OTLP_ENDPOINT",
            ),
            (
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318/?k=s3cret")],
                "OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: `localhost:4318/` is not the URL",
            ),
            (
                &[(
                    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                    "http://me:s3cret@a.test",
                )],
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT cannot be used: ",
            ),
            (
                &[
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a.test"),
                    ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret"),
                ],
                "OTEL_EXPORTER_OTLP_HEADERS is not a list",
            ),
            (
                &[
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a.test"),
                    ("OTEL_EXPORTER_OTLP_HEADERS", "a=s3cret%0A"),
                ],
                "OTEL_EXPORTER_OTLP_HEADERS is not a list",
            ),
            (
                &[
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a.test:4317"),
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ],
                "OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`, which the proxy does not speak",
            ),
        ];
        for (set, part) in cases {
            let problem = complete(set).unwrap_err();
            assert!(problem.contains(part), "{problem}");
            assert!(!problem.contains("s3cret"), "{problem}");
        }
    }
}
