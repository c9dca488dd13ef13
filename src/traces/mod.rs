//! Traces of requests in the form of OpenTelemetry: the context that a request carries (W3C Trace Context), spans, and
//! their export to a collector over OTLP. Knows no room but `per_worker`, `tasks` and `web_client`.

mod collector;
mod collector_header;
mod exporter;
mod id;
mod open_span;
mod options;
mod otlp;
mod request_trace;
mod sampled_trace;
mod span;
mod span_counts;
mod span_queue;
mod trace_context;
mod tracer;

pub use collector::{CollectorError, contact};
pub use collector_header::CollectorHeader;
pub use id::TraceId;
pub use options::TraceOptions;
pub use request_trace::RequestTrace;
pub use sampled_trace::{FinishedRequest, SampledTrace};
pub use span::{Attributes, method_name};
pub use span_counts::{SpanCounts, SpanOutcome};
pub use tracer::Tracer;
