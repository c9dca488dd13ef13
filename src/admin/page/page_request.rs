//! Requests to the page.

use http::Method;
use http::request::Parts;
use url::form_urlencoded;

/// A request, by its method and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PageRequest {
    /// `GET /`, or `GET /?token=TOKEN` for the cookie.
    Page { token: Option<String> },
    /// `GET /events`
    Events,
    /// `POST /login` with a token in its body
    Login,
    /// `POST /renew` with a name in its body
    Renew,
}

/// A reason why a request cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestProblem {
    /// There is nothing at its path.
    Path,
    /// Its path has these other methods only.
    Method(&'static str),
}

impl PageRequest {
    pub(super) fn parse(head: &Parts) -> Result<Self, RequestProblem> {
        const SHOWN: (&[Method], &str) = (&[Method::GET, Method::HEAD], "GET, HEAD");
        const EVENTS: (&[Method], &str) = (&[Method::GET], "GET");
        const ACTION: (&[Method], &str) = (&[Method::POST], "POST");
        let ((methods, allowed), request) = match head.uri.path() {
            "/" => {
                let query = head.uri.query().unwrap_or_default();
                let token = field(query.as_bytes(), "token");
                (SHOWN, Self::Page { token })
            }
            "/events" => (EVENTS, Self::Events),
            "/login" => (ACTION, Self::Login),
            "/renew" => (ACTION, Self::Renew),
            _ => return Err(RequestProblem::Path),
        };
        if methods.contains(&head.method) {
            Ok(request)
        } else {
            Err(RequestProblem::Method(allowed))
        }
    }
}

/// Returns a field of a query or of the body of a form.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(form);
    let found = fields.find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parse(method: &str, uri: &str) -> Result<PageRequest, RequestProblem> {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        PageRequest::parse(&request.into_parts().0)
    }

    #[test]
    fn each_path_has_its_methods() {
        let page = |token: Option<&str>| PageRequest::Page {
            token: token.map(str::to_owned),
        };
        for (method, uri, expected) in [
            ("GET", "/", Ok(page(None))),
            ("HEAD", "/?a=b", Ok(page(None))),
            ("GET", "/?token=a%2Bb+c", Ok(page(Some("a+b c")))),
            ("GET", "/events", Ok(PageRequest::Events)),
            ("POST", "/login", Ok(PageRequest::Login)),
            ("POST", "/renew", Ok(PageRequest::Renew)),
            ("POST", "/", Err(RequestProblem::Method("GET, HEAD"))),
            ("HEAD", "/events", Err(RequestProblem::Method("GET"))),
            ("GET", "/renew", Err(RequestProblem::Method("POST"))),
            ("PUT", "/login", Err(RequestProblem::Method("POST"))),
            ("OPTIONS", "/renew", Err(RequestProblem::Method("POST"))),
            ("GET", "/favicon.ico", Err(RequestProblem::Path)),
            ("GET", "//", Err(RequestProblem::Path)),
        ] {
            assert_eq!(parse(method, uri), expected, "{method} {uri}");
        }
    }
}
