//! Routing: finds the site that serves a host, and the route of that site that serves a path.

mod current_router;
mod http_mode;
mod https_redirect;
mod misdirected;
mod path_normalization;
mod rewrite;
mod router;
mod routes;
pub(super) mod webdav_destination;

pub use current_router::CurrentRouter;
pub use http_mode::HttpMode;
pub use https_redirect::{site_of_host, to_https};
pub use rewrite::Rewrite;
pub use router::{Router, Site};
pub use routes::{Route, RouteGuards, Routes};
