//! Requests to the admin socket.

use http::Method;
use http::request::Parts;

use super::error::Error;

/// Default number of lines of a page.
const PAGE: usize = 100;

/// A request, parsed from its method and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AdminRequest {
    /// `GET /certificates?after=NAME&limit=N`
    List { after: Option<String>, limit: usize },
    /// `GET /certificates/NAME`
    Show(String),
    /// `POST /certificates/NAME/renew`
    Renew(String),
    /// `POST /certificates/NAME/revoke` with a reason in its body
    Revoke(String),
    /// `GET /status`, or `GET /status?site=NAME` for one site
    Status { site: Option<String> },
    /// `POST /account/rollover`
    Rollover,
    /// `POST /reload`
    Reload,
    /// `POST /upgrade` with the path of a binary in its body, if another than that of the process is to run
    Upgrade,
    /// `POST /doctor` with names in its body
    Doctor,
    /// `POST /rehearse` with names and a CA in its body
    Rehearse,
    /// `POST /stop`
    Stop,
}

impl AdminRequest {
    pub(super) fn parse(head: &Parts) -> Result<Self, Error> {
        let path = head.uri.path();
        let segments = path.trim_start_matches('/').split('/').collect::<Vec<_>>();
        let (method, request) = match segments.as_slice() {
            ["status"] => (Method::GET, Self::status(head.uri.query().unwrap_or(""))),
            ["certificates"] => (Method::GET, Self::list(head.uri.query().unwrap_or(""))?),
            ["certificates", name] => (Method::GET, Self::Show(decoded(name))),
            ["certificates", name, "renew"] => (Method::POST, Self::Renew(decoded(name))),
            ["certificates", name, "revoke"] => (Method::POST, Self::Revoke(decoded(name))),
            ["account", "rollover"] => (Method::POST, Self::Rollover),
            ["reload"] => (Method::POST, Self::Reload),
            ["upgrade"] => (Method::POST, Self::Upgrade),
            ["doctor"] => (Method::POST, Self::Doctor),
            ["rehearse"] => (Method::POST, Self::Rehearse),
            ["stop"] => (Method::POST, Self::Stop),
            _ => return Err(Error::NoResource(path.to_owned())),
        };
        if head.method == method {
            Ok(request)
        } else if method == Method::GET {
            Err(Error::Method("GET"))
        } else {
            Err(Error::Method("POST"))
        }
    }

    fn status(query: &str) -> Self {
        let mut fields = url::form_urlencoded::parse(query.as_bytes());
        let site = fields.find(|(key, _)| key == "site");
        Self::Status {
            site: site.map(|(_, name)| name.into_owned()),
        }
    }

    fn list(query: &str) -> Result<Self, Error> {
        let (mut after, mut limit) = (None, PAGE);
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                "after" => after = Some(value.into_owned()),
                "limit" => {
                    let parsed = value.parse().ok().filter(|limit| *limit > 0);
                    limit = parsed.ok_or_else(|| Error::Limit(value.into_owned()))?;
                }
                _ => {}
            }
        }
        Ok(Self::List { after, limit })
    }
}

/// Decodes a path segment, which the client encodes like the key of a form.
fn decoded(segment: &str) -> String {
    let key = url::form_urlencoded::parse(segment.as_bytes()).next();
    key.map(|(key, _)| key.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parse(method: &str, uri: &str) -> Result<AdminRequest, String> {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        AdminRequest::parse(&request.into_parts().0).map_err(|error| error.to_string())
    }

    #[test]
    fn every_resource_has_its_method() {
        let list = |after: Option<&str>, limit| AdminRequest::List {
            after: after.map(str::to_owned),
            limit,
        };
        assert_eq!(parse("GET", "/certificates"), Ok(list(None, 100)));
        let page = "/certificates?after=*.a.example&limit=7&x=y";
        assert_eq!(parse("GET", page), Ok(list(Some("*.a.example"), 7)));
        let status = |site: Option<&str>| AdminRequest::Status {
            site: site.map(str::to_owned),
        };
        assert_eq!(parse("GET", "/status"), Ok(status(None)));
        let one = "/status?site=%2A.a.example";
        assert_eq!(parse("GET", one), Ok(status(Some("*.a.example"))));
        let name = "www.example.org".to_owned();
        assert_eq!(
            parse("GET", "/certificates/www.example.org"),
            Ok(AdminRequest::Show(name.clone()))
        );
        assert_eq!(
            parse("GET", "/certificates/%3A%3a1"),
            Ok(AdminRequest::Show("::1".to_owned()))
        );
        assert_eq!(
            parse("POST", "/certificates/www.example.org/renew"),
            Ok(AdminRequest::Renew(name))
        );
    }

    #[test]
    fn other_requests_are_refused_with_the_reason() {
        for (method, uri, part) in [
            ("DELETE", "/certificates/a.example", "only GET"),
            ("GET", "/certificates/a.example/renew", "only POST"),
            ("GET", "/reload", "only POST"),
            ("GET", "/upgrade", "only POST"),
            ("GET", "/stop", "only POST"),
            ("GET", "/doctor", "only POST"),
            ("GET", "/", "no resource /"),
            (
                "GET",
                "/certificates/a/b/c",
                "no resource /certificates/a/b/c",
            ),
            ("GET", "/certificates?limit=0", "`0` is not a valid limit"),
            ("GET", "/certificates?limit=x", "`x` is not a valid limit"),
        ] {
            let error = parse(method, uri).unwrap_err();
            assert!(error.contains(part), "{method} {uri}: {error}");
        }
    }
}
