//! The tracer, which begins the traces of requests.

use std::sync::Arc;

use http::{HeaderMap, Method};

use super::collector::Collector;
use super::exporter::Exporter;
use super::options::TraceOptions;
use super::request_trace::RequestTrace;
use super::sampled_trace::SampledTrace;
use super::span_counts::SpanCounts;
use super::span_queue::SpanQueue;
use crate::per_worker::{CachePadded, PerWorker};
use crate::tasks::Tasks;
use crate::web_client::WebClientError;

/// The handle of one worker on the tracing of requests. The exporter ends when the last handle and the last traced request
/// are gone.
#[derive(Clone, Debug)]
pub struct Tracer {
    own: Arc<CachePadded<SpanQueue>>,
    queues: Arc<PerWorker<Arc<CachePadded<SpanQueue>>>>,
    sample: f64,
    /// Content of the file with the roots for the collector.
    root: Option<Arc<[u8]>>,
}

/// Reads the file with the roots for the collector, if there is one.
fn read_root(options: &TraceOptions) -> Option<Arc<[u8]>> {
    let root = options.root.as_ref()?;
    // One that cannot be read is reported by the client.
    std::fs::read(root).ok().map(Arc::from)
}

impl Tracer {
    /// Starts to export spans of this number of `workers`, among `tasks`. Fails if TLS cannot be set up. Blocks while it reads
    /// the roots.
    pub fn start(
        options: &TraceOptions,
        workers: usize,
        tasks: &Tasks,
        counts: &SpanCounts,
    ) -> Result<Self, WebClientError> {
        let root = read_root(options);
        let collector = Collector::new(options)?;
        let queues = (0..workers.max(1)).map(|_| SpanQueue::open(counts));
        let (queues, spans): (Vec<_>, Vec<_>) = queues.unzip();
        let queues = PerWorker::from_iter(queues);
        let exporter = Exporter::new(collector, &options.service_name, spans, counts.clone());
        tasks.spawn(exporter.run(tasks.shutdown()));
        Ok(Self {
            own: Arc::clone(&queues[0]),
            queues: Arc::new(queues),
            sample: options.sample,
            root,
        })
    }

    /// `true` if the roots for the collector have not changed since the start. Blocks while it reads their file.
    #[must_use]
    pub fn has_current_root(&self, options: &TraceOptions) -> bool {
        self.root == read_root(options)
    }

    /// Returns the handle of the worker with this number.
    #[must_use]
    pub fn for_worker(&self, worker: usize) -> Self {
        Self {
            own: Arc::clone(&self.queues[worker]),
            ..self.clone()
        }
    }

    /// Continues the trace that a request names, or begins one. Whether it is recorded is up to the sender if it is
    /// trusted. Otherwise chance decides and not the id, which the sender has chosen.
    #[must_use]
    pub fn begin(&self, headers: &HeaderMap, is_trusted: bool) -> RequestTrace {
        RequestTrace::begin(headers, |given| {
            let given = given.filter(|_| is_trusted);
            given.unwrap_or_else(|| fastrand::f64() < self.sample)
        })
    }

    /// Returns the trace for its spans, if they are recorded.
    #[must_use]
    pub fn sampled(&self, trace: RequestTrace, method: &Method) -> Option<SampledTrace> {
        let is_sampled = trace.flags.is_sampled();
        is_sampled.then(|| SampledTrace::new(trace, method.clone(), Arc::clone(&self.own)))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::traces::trace_context::TRACEPARENT;

    fn tracer(sample: f64) -> Tracer {
        let (own, _) = SpanQueue::open(&SpanCounts::default());
        Tracer {
            queues: Arc::new(PerWorker::from_iter([Arc::clone(&own)])),
            own,
            sample,
            root: None,
        }
    }

    fn recorded(tracer: &Tracer, flags: Option<&str>, is_trusted: bool) -> usize {
        let mut headers = HeaderMap::new();
        if let Some(flags) = flags {
            let value = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            headers.insert(TRACEPARENT, HeaderValue::try_from(value).unwrap());
        }
        let begin = || tracer.begin(&headers, is_trusted);
        let is_sampled = |_: &usize| tracer.sampled(begin(), &Method::GET).is_some();
        (0..1000).filter(is_sampled).count()
    }

    #[test]
    fn a_trusted_sender_decides_and_chance_for_all_others() {
        for (sample, flags, is_trusted, least, most) in [
            (0.0, Some("01"), true, 1000, 1000),
            (1.0, Some("00"), true, 0, 0),
            (0.0, Some("01"), false, 0, 0),
            (1.0, Some("00"), false, 1000, 1000),
            (0.5, Some("01"), false, 300, 700),
            (0.5, None, true, 300, 700),
            (1.0, None, false, 1000, 1000),
            (0.0, None, true, 0, 0),
        ] {
            let count = recorded(&tracer(sample), flags, is_trusted);
            assert!(
                (least..=most).contains(&count),
                "{sample} {flags:?}: {count}"
            );
        }
    }
}
