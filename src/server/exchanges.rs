//! The requests of one connection and their answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};

use super::activity::Activity;
use super::tracked_body::{RequestMark, TrackedBody};
use crate::proxy::{Body, ClientBody, ConnInfo, Interims, ProxyService};

/// What answers the requests of one connection.
#[derive(Debug)]
pub(super) struct Exchanges {
    pub(super) service: ProxyService,
    pub(super) info: Arc<ConnInfo>,
    pub(super) activity: Arc<Activity>,
}

impl Exchanges {
    /// On the heap: whoever waits for it keeps room for one request's future for as long as a connection lives.
    pub(super) fn call<B>(
        self: &Arc<Self>,
        request: Request<B>,
        interims: Option<Interims>,
    ) -> Pin<Box<impl Future<Output = Response<TrackedBody<Body>>> + Send + use<B>>>
    where
        B: Into<ClientBody> + http_body::Body + Send + 'static,
    {
        let mark = RequestMark::new(Arc::clone(&self.activity));
        self.activity.has_body(!request.body().is_end_stream());
        let this = Arc::clone(self);
        in_place(|| async move {
            let response = this.service.call(request, &this.info, interims).await;
            response.map(|body| TrackedBody::new(body, mark))
        })
    }
}

/// The future on the heap, without a copy of all the room that it may take later.
fn in_place<F>(future: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), future()))
}
