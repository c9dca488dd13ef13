//! Handlers, which respond to the requests of a route: an upstream, a redirect, a fixed response or the files of a
//! folder.

mod files;
mod fixed_response;
mod handler;
mod redirect;

pub use files::Files;
pub use fixed_response::{FixedResponse, FixedResponseError};
pub use handler::Handler;
pub use redirect::{Redirect, RedirectError, RedirectOptions};
