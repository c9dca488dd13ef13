//! An upstream, and the path of a request through it: discovery of backends, selection, queue, retries and health
//! checks.

mod attempt;
mod attempt_spans;
mod backend_fields;
mod backend_probe;
mod backend_set;
mod carry_over;
mod discovery;
mod health_check;
mod queue;
mod retry;
mod retry_budget;
mod selected_backend;
mod settings;
mod upstream;
mod upstream_status;
mod weight_ratios;

pub use backend_probe::BackendProbe;
pub use selected_backend::Caller;
pub use upstream::Upstream;
pub use upstream_status::UpstreamStatus;
