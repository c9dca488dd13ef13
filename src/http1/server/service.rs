//! The service that answers the requests of a connection.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;

use super::incoming_body::IncomingBody;

/// Response that a service is still making.
pub type ResponseFuture<B> = Pin<Box<dyn Future<Output = Response<B>> + Send>>;

/// Service that answers the requests of a connection.
pub trait Service {
    /// Body of its responses.
    type Body: Body<Data = Bytes> + Unpin;

    /// Answers one request. The body of the response is not sent where HTTP allows none.
    fn call(&self, request: Request<IncomingBody>) -> ResponseFuture<Self::Body>;

    /// Value of the field `Date` of a response that has none.
    fn date(&self) -> HeaderValue;
}
