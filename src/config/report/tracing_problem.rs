//! Problems with tracing.

/// A problem with tracing, with its fix.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TracingProblem {
    #[error(
        "`{0}` is not the URL of a collector; use a form like `http://localhost:4318`, without a user, a query and a fragment"
    )]
    Endpoint(String),
    #[error(
        "the URL of the collector holds a user name; remove the part before `@`, and set `headers = {{ Authorization = \"env:NAME\" }}` instead"
    )]
    User,
    #[error("`{0}` is not a valid fraction; use a number from 0 to 1, as in `0.1` for a tenth")]
    Fraction(String),
    #[error("the value of `{0}` has a character that headers cannot have; use visible ASCII")]
    HeaderValue(String),
    #[error("`service-name` is empty; set a name, as in `\"proxy\"`, or remove it")]
    NoServiceName,
    #[error(
        "`tracing` has no collector; set `endpoint` to its URL, or set the environment variable OTEL_EXPORTER_OTLP_ENDPOINT"
    )]
    NoEndpoint,
    #[error("the environment variable {variable} cannot be used: {problem}")]
    Variable {
        variable: &'static str,
        problem: Box<Self>,
    },
    #[error(
        "the environment variable {0} is not a list of header fields; use a form like `name=value,other=value`, with visible ASCII and percent-encoded values"
    )]
    HeaderList(&'static str),
    #[error(
        "the environment variable {variable} is `{protocol}`, which the proxy does not speak; set `http/protobuf`, and the port of the collector for HTTP, which is mostly 4318"
    )]
    Protocol {
        variable: &'static str,
        protocol: String,
    },
}
