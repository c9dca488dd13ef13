//! Limits on the size of a request: its head, its number of fields and its body.

use http::Request;
use http_body::Body as _;

use super::options::GuardOptions;
use crate::proxy::error::{Error, GuardRefusal};
use crate::proxy::request::RequestContext;
use crate::upstream::RequestBody;

/// Size limits of one site. Those that are `None` do not apply.
#[derive(Debug)]
pub(super) struct SizeLimits {
    head_size: Option<usize>,
    head_fields: Option<usize>,
    max_body: Option<u64>,
}

impl SizeLimits {
    pub(super) fn new(options: &GuardOptions) -> Self {
        Self {
            head_size: options.head_size,
            head_fields: options.head_fields,
            max_body: options.max_body,
        }
    }

    /// Checks the head and the announced length of the body, and bounds the body while it is read.
    pub(super) fn check(
        &self,
        request: &mut Request<RequestBody>,
        context: &RequestContext<'_>,
    ) -> Result<(), Error> {
        let size = context.scan.size + context.target.as_str().len();
        if self.head_size.is_some_and(|limit| size > limit) {
            return Err(Error::HeadTooLarge);
        }
        let fields = request.headers().len();
        if self.head_fields.is_some_and(|limit| fields > limit) {
            return Err(Error::TooManyFields);
        }
        let Some(limit) = self.max_body else {
            return Ok(());
        };
        let length = request.body().size_hint().exact();
        if length.is_some_and(|length| length > limit) {
            return Err(GuardRefusal::BodyTooLarge.into());
        }
        request.body_mut().limit(limit);
        Ok(())
    }
}
