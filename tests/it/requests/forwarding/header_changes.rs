//! SiteChanges to header fields, in both directions.

use std::sync::Arc;

use http::Request;
use proxy::name::{HostName, HostPattern};
use proxy::proxy::{ChangeKind, HeaderChange, HeaderChanges, PathPrefix, Route, Routes, Site};
use proxy::proxy::{FixedResponse, Handler};

use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{ask, header};
use crate::harness::service::{Service, ServiceSetup, empty};

fn changes(changes: &[(ChangeKind, &str, &str)]) -> Option<Box<HeaderChanges>> {
    HeaderChanges::new(
        changes
            .iter()
            .map(|(kind, name, value)| HeaderChange::new(*kind, name, value).unwrap()),
    )
}

async fn open(mut setup: ServiceSetup, route: Route) -> Service {
    setup.sites = vec![Site::new(
        HostPattern::parse("www.example.org").unwrap(),
        Routes::new([route]),
    )];
    setup.start().await
}

async fn serve(origin: &Origin) -> (ServiceSetup, Route) {
    let setup = ServiceSetup::new().site("unused.example.org", &[origin.address]);
    let handler = Handler::Upstream(Arc::clone(&setup.upstreams[0]));
    (setup, Route::new(PathPrefix::root(), handler))
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: www.example.org\r\nAccept: a\r\nX-Two: 1\r\nX-Two: 2\r\nX-Three: 3\r\nConnection: close, X-Four\r\n\r\n";

#[tokio::test]
async fn the_backend_gets_the_changed_fields() {
    use ChangeKind::{Add, Remove, Set};
    let mut origin = Origin::ok().await;
    let (mut setup, mut route) = serve(&origin).await;
    setup.sni = Some(HostName::parse("www.example.org").unwrap());
    route.request_headers = changes(&[
        (Remove, "accept", ""),
        (Set, "X-Two", "only"),
        (Add, "X-Three", "more"),
        // Named by the client's Connection field, which was removed before.
        (Set, "X-Four", "{client} {host} {sni}"),
    ]);
    let service = open(setup, route).await;
    ask(service.h1, REQUEST).await;
    let seen = origin.event().await;
    assert_eq!(header(&seen, "accept"), None);
    assert_eq!(header(&seen, "x-two"), Some("only"));
    assert_eq!(seen.matches("x-two:").count(), 1, "{seen}");
    assert!(seen.contains("x-three: 3\r\nx-three: more\r\n"), "{seen}");
    assert_eq!(
        header(&seen, "x-four"),
        Some("127.0.0.1 www.example.org www.example.org")
    );
}

#[tokio::test]
async fn no_other_spelling_of_a_changed_field_reaches_the_backend() {
    use ChangeKind::{Add, Remove, Set};
    let mut origin = Origin::ok().await;
    let (setup, mut route) = serve(&origin).await;
    route.request_headers = changes(&[
        (Remove, "X-Admin", ""),
        (Set, "X-Api-User", "guest"),
        (Set, "under_score", "kept"),
        (Add, "X-Tag", "more"),
    ]);
    let service = open(setup, route).await;
    let fields = [
        "X-Api-User",
        "X_Api_User",
        "x.api-user",
        "X-Admin",
        "X_Admin",
        "Under-Score",
        "Under_Score",
    ];
    let fields: String = fields.map(|name| format!("{name}: root\r\n")).concat();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: www.example.org\r\nX_Tag: 1\r\n{fields}Connection: close\r\n\
         Transfer-Encoding: chunked\r\nTrailer: X_Api_User\r\n\r\n0\r\nX_Api_User: root\r\n\r\n"
    );
    ask(service.h1, request).await;
    let seen = origin.event().await;
    assert!(!seen.contains("root"), "{seen}");
    assert_eq!(header(&seen, "x-api-user"), Some("guest"));
    assert_eq!(header(&seen, "under_score"), Some("kept"));
    // What is added stands beside what the client sent.
    assert_eq!(header(&seen, "x_tag"), Some("1"));
    assert_eq!(header(&seen, "x-tag"), Some("more"));
}

#[tokio::test]
async fn the_client_gets_the_changed_fields_of_a_backends_answer() {
    use ChangeKind::{Add, Remove, Set};
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nserver: app\r\nset-cookie: a=1\r\n\r\nok",
    )
    .await;
    let (setup, mut route) = serve(&origin).await;
    route.response_headers = changes(&[
        (Remove, "server", ""),
        (Set, "x-frame-options", "DENY"),
        (Add, "set-cookie", "b=2"),
    ]);
    let service = open(setup, route).await;
    let request = Request::get("https://www.example.org/");
    let response = service.fetch2(request.body(empty()).unwrap()).await;
    let fields = response.headers();
    assert!(!fields.contains_key("server"));
    assert_eq!(fields["x-frame-options"], "DENY");
    let cookies: Vec<_> = fields.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
}

#[tokio::test]
async fn header_changes_apply_to_the_proxys_own_answers() {
    let fixed = FixedResponse::new(200, "x", "text/plain").unwrap();
    let mut route = Route::new(PathPrefix::root(), Handler::Respond(fixed));
    route.response_headers = changes(&[(ChangeKind::Set, "content-type", "text/css")]);
    let service = open(ServiceSetup::new(), route).await;
    let answer = ask(service.h1, REQUEST).await;
    assert_eq!(header(&answer, "content-type"), Some("text/css"));
    assert_eq!(answer.matches("content-type:").count(), 1, "{answer}");
}
