//! The routes of a site. The one with the longest matching prefix serves a path; prefixes match whole segments.

use std::sync::Arc;

use http::Request;
use http::header::LINK;
use http::uri::PathAndQuery;
use tokio_util::sync::CancellationToken;

use super::path_normalization::{ALL, COMMON};
use super::rewrite::Rewrite;
use crate::proxy::error::Error;
use crate::proxy::guards::Guards;
use crate::proxy::handler::Handler;
use crate::proxy::header_changes::HeaderChanges;
use crate::proxy::request::{PathPrefix, RequestContext};
use crate::upstream::RequestBody;

/// Access control of a route.
#[derive(Clone, Debug, Default)]
pub enum RouteGuards {
    /// That of the site.
    #[default]
    OfSite,
    /// Its own, instead of that of the site. `None` admits every request.
    Own(Option<Arc<Guards>>),
}

/// Route of the requests for the paths below a prefix.
#[derive(Clone, Debug)]
pub struct Route {
    /// Beginning of the paths.
    pub prefix: PathPrefix,
    /// Handler that responds.
    pub handler: Handler,
    /// Access control.
    pub guards: RouteGuards,
    /// Rewrite of the path before it goes to the backend or the folder.
    pub rewrite: Option<Rewrite>,
    /// Changes to the header fields of a request before it goes to the backend.
    pub request_headers: Option<Box<HeaderChanges>>,
    /// Changes to the header fields of the handler's response.
    pub response_headers: Option<Box<HeaderChanges>>,
    /// Closes the tunnels that the route has opened, some time after a reload has removed it. A reload that keeps the route
    /// keeps its token.
    pub tunnels_end: CancellationToken,
}

impl Route {
    /// Creates a route that changes nothing.
    #[must_use]
    pub fn new(prefix: PathPrefix, handler: Handler) -> Self {
        Self {
            prefix,
            handler,
            guards: RouteGuards::OfSite,
            rewrite: None,
            request_headers: None,
            response_headers: None,
            tunnels_end: CancellationToken::new(),
        }
    }

    /// Target for the backend or the folder.
    pub(crate) fn target(&self, target: PathAndQuery) -> Result<PathAndQuery, Error> {
        match &self.rewrite {
            None => Ok(target),
            Some(rewrite) => rewrite.apply(&target),
        }
    }

    /// `true` if the route changes Link fields. Early hints are then not forwarded, since they would bypass the
    /// changes.
    pub(crate) fn changes_links(&self) -> bool {
        let changes = self.response_headers.as_deref();
        changes.is_some_and(|changes| changes.affect(&LINK))
    }

    /// Applies the route's changes to the fields of a request for the backend.
    pub(crate) fn change_request(
        &self,
        request: &mut Request<RequestBody>,
        context: &RequestContext<'_>,
    ) {
        if let Some(rewrite) = &self.rewrite {
            rewrite.set_prefix_field(request.headers_mut());
        }
        if let Some(changes) = &self.request_headers {
            changes.remove_other_spellings(request.headers_mut());
            changes.apply(request.headers_mut(), context);
            request.body_mut().forbid_trailers(changes.owned());
        }
    }
}

/// The routes of one site.
#[derive(Clone, Debug)]
pub struct Routes {
    entries: Box<[RouteEntry]>,
    /// Whether a route has access control of its own.
    are_guarded: bool,
}

#[derive(Clone, Debug)]
struct RouteEntry {
    route: Route,
    /// Index of the longest other prefix that covers this one.
    parent: Option<usize>,
}

impl Routes {
    /// Creates the routes. Of two routes with the same prefix, the last one is used.
    #[must_use]
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Self {
        let mut sorted: Vec<Route> = routes.into_iter().collect();
        sorted.reverse();
        sorted.sort_by(|a, b| a.prefix.compare(b.prefix.as_str().as_bytes()));
        sorted.dedup_by(|later, first| later.prefix == first.prefix);
        let mut entries: Vec<RouteEntry> = Vec::with_capacity(sorted.len());
        for route in sorted {
            let path = route.prefix.as_str().as_bytes();
            let parent = entries
                .iter()
                .rposition(|entry| entry.route.prefix.covers(path));
            entries.push(RouteEntry { route, parent });
        }
        let is_guarded = |entry: &RouteEntry| matches!(entry.route.guards, RouteGuards::Own(_));
        Self {
            are_guarded: entries.iter().any(is_guarded),
            entries: entries.into(),
        }
    }

    /// Route with exactly this prefix.
    #[must_use]
    pub fn get(&self, prefix: &PathPrefix) -> Option<&Route> {
        let prefix = prefix.as_str().as_bytes();
        let found = self
            .entries
            .binary_search_by(|entry| entry.route.prefix.compare(prefix));
        Some(&self.entries.get(found.ok()?)?.route)
    }

    /// All routes, ordered by prefix.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.entries.iter().map(|entry| &entry.route)
    }

    /// Finds the route of a path as the client wrote it. `*` is routed like `/`.
    ///
    /// The path is matched byte for byte, as it is forwarded. It is refused as ambiguous if a backend that decodes,
    /// merges or cuts could read it as the path of another route. If a route has access control of its own, rare backends
    /// count too, and those that ignore the case of letters.
    pub(crate) fn route(&self, path: &str) -> Result<&Route, Error> {
        let path = match path {
            "*" => b"/",
            path => path.as_bytes(),
        };
        let found = self.find(path);
        if !self.has_only_root() && self.is_ambiguous(path, found) {
            return Err(Error::AmbiguousPath);
        }
        found
            .map(|index| &self.entries[index].route)
            .ok_or(Error::NoRoute)
    }

    fn has_only_root(&self) -> bool {
        matches!(&*self.entries, [only] if only.route.prefix.is_root())
    }

    /// `true` if a backend could read the path as that of a route other than `found`.
    fn is_ambiguous(&self, path: &[u8], found: Option<usize>) -> bool {
        if !self.are_guarded {
            return COMMON.any_other(path, |form| self.find(form) != found);
        }
        let prefix = |index: usize| self.entries[index].route.prefix.as_str();
        let is_other_without_case = |form: &[u8]| match (self.find_without_case(form), found) {
            (Some(one), Some(other)) => !prefix(one).eq_ignore_ascii_case(prefix(other)),
            (one, other) => one != other,
        };
        is_other_without_case(path)
            || ALL.any_other(path, |form| {
                self.find(form) != found || is_other_without_case(form)
            })
    }

    fn find_without_case(&self, path: &[u8]) -> Option<usize> {
        let entries = self.entries.iter().enumerate();
        let covering = entries.filter(|(_, entry)| entry.route.prefix.covers_without_case(path));
        let longest = covering.max_by_key(|(_, entry)| entry.route.prefix.as_str().len());
        longest.map(|(index, _)| index)
    }

    fn find(&self, path: &[u8]) -> Option<usize> {
        let end = self
            .entries
            .partition_point(|entry| entry.route.prefix.compare(path).is_le());
        let mut candidate = end.checked_sub(1);
        while let Some(index) = candidate {
            if self.entries[index].route.prefix.covers(path) {
                return Some(index);
            }
            candidate = self.entries[index].parent;
        }
        None
    }
}

impl From<Handler> for Routes {
    /// Creates one route for all paths.
    fn from(handler: Handler) -> Self {
        Self::new([Route::new(PathPrefix::root(), handler)])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proxy::handler::Redirect;

    fn routes<'a>(prefixes: impl IntoIterator<Item = &'a str>) -> Routes {
        Routes::new(prefixes.into_iter().map(|prefix| {
            let moved = Redirect::parse("https://www.example.org").unwrap();
            Route::new(PathPrefix::parse(prefix).unwrap(), Handler::Redirect(moved))
        }))
    }

    fn found(routes: &Routes, path: &str) -> Option<String> {
        routes
            .route(path)
            .ok()
            .map(|route| route.prefix.to_string())
    }

    #[test]
    fn prefixes_match_whole_segments_and_the_longest_wins() {
        let routes = routes(["/", "/api/", "/api/v2", "/api-docs"]);
        for (path, prefix) in [
            ("/", "/"),
            ("*", "/"),
            ("/apix", "/"),
            ("/api", "/api"),
            ("/api/", "/api"),
            ("/api/v1", "/api"),
            ("/api/v2", "/api/v2"),
            ("/api/v2/x", "/api/v2"),
            ("/api/v20", "/api"),
            ("/api-docs/x", "/api-docs"),
            ("/API", "/"),
        ] {
            assert_eq!(found(&routes, path).as_deref(), Some(prefix), "{path}");
        }
    }

    #[test]
    fn without_a_root_route_other_paths_have_none() {
        let routes = routes(["/api"]);
        assert!(matches!(routes.route("/x"), Err(Error::NoRoute)));
        assert!(matches!(routes.route("*"), Err(Error::NoRoute)));
        assert!(matches!(
            routes.route("/x/../api"),
            Err(Error::AmbiguousPath)
        ));
    }

    #[test]
    fn a_site_of_one_route_takes_every_path() {
        for path in ["/a/../b//c", "/%61", "/a;b/..%2f", "*"] {
            assert_eq!(found(&routes(["/"]), path).as_deref(), Some("/"), "{path}");
        }
    }

    #[test]
    fn only_paths_that_could_match_two_routes_are_refused() {
        let routes = routes(["/", "/admin"]);
        for path in [
            "/%61dmin",
            "/%2561dmin/x",
            "//admin",
            "/./admin",
            "/a/../admin",
            "/a/%2e%2e/admin",
            "/a%2f..%2fadmin",
            "/a\\..\\admin",
            "/admin;v=1/x",
            "/;x/admin",
            "/a/..;/admin",
            "/admin/../x",
            "/admin/%2e%2e/x",
            "/admin%2f",
        ] {
            assert!(
                matches!(routes.route(path), Err(Error::AmbiguousPath)),
                "{path}"
            );
        }
        for path in [
            "/projects/group%2Fproject",
            "/a//b",
            "/proxy/https://example.org/x",
            "/a/../b",
            "/.well-known/x",
            "/admin/a%20b/../c",
            "/a;b=c",
            "/100%",
        ] {
            assert!(routes.route(path).is_ok(), "{path}");
        }
    }

    fn guarded<'a>(prefixes: impl IntoIterator<Item = &'a str>) -> Routes {
        let plain = routes(prefixes);
        Routes::new(plain.iter().map(|route| Route {
            guards: RouteGuards::Own(None),
            ..route.clone()
        }))
    }

    #[test]
    fn other_letter_case_leads_around_no_guard() {
        let routes = guarded(["/", "/admin", "/Docs"]);
        for path in [
            "/ADMIN",
            "/Admin/x",
            "/%41dmin",
            "/x/../Admin",
            "/docs/a",
            "/;/aDmin",
        ] {
            let outcome = routes.route(path);
            assert!(matches!(outcome, Err(Error::AmbiguousPath)), "{path}");
        }
        for (path, prefix) in [
            ("/Administration", "/"),
            ("/admin/X", "/admin"),
            ("/Docs/A", "/Docs"),
        ] {
            assert_eq!(found(&routes, path).as_deref(), Some(prefix), "{path}");
        }
    }

    #[test]
    fn no_rare_spelling_leads_around_a_guard() {
        let routes = guarded(["/", "/admin/tasks"]);
        for path in [
            "/admin/tasks%00",
            "/admin/tasks%00.png",
            "/admin/tasks%20",
            "/%20admin/tasks",
            "/admin%0a/tasks",
            "/admin/tasks%3fx",
            "/admin/tasks%23",
            "/admin/tasks%2523/x",
            "/admin./tasks",
            "/admin/tasks...",
            "/Admin/tasks.%20.",
            "/admin/tasks::$DATA",
            "/admin:$I30:$INDEX_ALLOCATION/tasks",
            "/admin/%u0074asks",
            "/admin%u002ftasks",
            "/%c1%a1dmin/tasks",
            "/admin%c0%aftasks",
            "/admin%e0%80%aftasks",
            "/x/%c0%ae%c0%ae/admin/tasks",
            "/%252561dmin/tasks",
            "/%252525252561dmin/tasks",
            "/%c0%a561dmin/tasks",
            "/admin/ta%C5%BFks",
            "/admin/tas%E2%84%AAs",
            "/%ef%bd%81dmin/tasks",
            "/x/..%20/admin/tasks",
        ] {
            let outcome = routes.route(path);
            assert!(matches!(outcome, Err(Error::AmbiguousPath)), "{path}");
        }
        for (path, prefix) in [
            ("/admin/tasks/a%3fb%00", "/admin/tasks"),
            ("/admin/tasks:run", "/"),
            ("/admin/task%20list.", "/"),
            ("/caf%C3%A9/%u2028", "/"),
            ("/v1.0/%25%32%35", "/"),
            ("/a%23b/c%3Fd", "/"),
        ] {
            assert_eq!(found(&routes, path).as_deref(), Some(prefix), "{path}");
        }
    }

    #[test]
    fn a_path_with_too_many_forms_is_refused() {
        let path = format!("/{}", "a/%252e//;x\\%2541/..".repeat(1550));
        for routes in [routes(["/", "/admin"]), guarded(["/", "/admin"])] {
            let outcome = routes.route(&path);
            assert!(matches!(outcome, Err(Error::AmbiguousPath)));
        }
        assert_eq!(found(&guarded(["/"]), &path).as_deref(), Some("/"));
    }

    fn prefix() -> impl Strategy<Value = String> {
        proptest::collection::vec("[ab.-]{1,2}", 0..4)
            .prop_map(|segments| format!("/{}", segments.join("/")))
            .prop_filter("no dot segments", |prefix| {
                PathPrefix::parse(prefix).is_ok()
            })
    }

    /// Longest prefix whose segments are the first segments of the path.
    fn naive<'a>(prefixes: &'a [String], path: &str) -> Option<&'a str> {
        let segments =
            |text: &str| -> Vec<String> { text[1..].split('/').map(str::to_owned).collect() };
        prefixes
            .iter()
            .filter(|prefix| *prefix == "/" || segments(path).starts_with(&segments(prefix)))
            .max_by_key(|prefix| prefix.len())
            .map(String::as_str)
    }

    /// Segments that a backend reads which applies every normalization.
    fn lenient(path: &str) -> Vec<String> {
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let mut kept: Vec<String> = Vec::new();
        for segment in decoded.replace('\\', "/").split('/') {
            match segment.split(';').next().unwrap() {
                "" | "." => {}
                ".." => drop(kept.pop()),
                segment => kept.push(segment.to_owned()),
            }
        }
        kept
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn routing_agrees_with_a_naive_model(
            prefixes in proptest::collection::vec(prefix(), 1..12),
            path in prefix(),
        ) {
            let routes = routes(prefixes.iter().map(String::as_str));
            let index = routes.find(path.as_bytes());
            let found = index.map(|index| routes.entries[index].route.prefix.to_string());
            prop_assert_eq!(found.as_deref(), naive(&prefixes, &path));
        }

        #[test]
        fn no_spelling_of_a_path_bypasses_its_route(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("/"), Just("admin"), Just("%61dmin"), Just("a"), Just(".."), Just("."),
                    Just("%2e"), Just("%2F"), Just("\\"), Just("%5c"), Just(";x"), Just("//"),
                ],
                0..8,
            ),
        ) {
            let path = format!("/{}", pieces.concat());
            let routes = routes(["/", "/admin"]);
            if let Some(prefix) = found(&routes, &path) {
                let is_admin = lenient(&path).first().is_some_and(|segment| segment == "admin");
                prop_assert_eq!(prefix == "/admin", is_admin, "{}", path);
            }
        }

        #[test]
        fn no_spelling_of_a_path_leads_around_a_guard(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("/"), Just("admin"), Just("Admin"), Just("%41DMIN"), Just("a"), Just(".."),
                    Just("."), Just("%2e"), Just("%2F"), Just("\\"), Just("%5c"), Just(";x"),
                    Just("%20"), Just("%00"), Just("%u0061dmin"), Just("%252541dmin"),
                ],
                0..8,
            ),
        ) {
            let path = format!("/{}", pieces.concat());
            if let Some(prefix) = found(&guarded(["/", "/admin"]), &path) {
                let first = lenient(&path).into_iter().next();
                let is_admin = first.is_some_and(|segment| segment.eq_ignore_ascii_case("admin"));
                prop_assert_eq!(prefix == "/admin", is_admin, "{}", path);
            }
        }
    }
}
