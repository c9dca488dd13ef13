//! Recognizes the answer of a backend that speaks TLS to a request in plain text. Without this, the page that the backend's web
//! server sends would pass for an answer of the app.

use std::future::{Future, ready};
use std::time::Duration;

use futures_util::future::Either;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::response_body::ResponseBody;
use crate::upstream::address::Address;
use crate::upstream::error::Error;

/// Beginnings of the pages of nginx, Apache, Go (Caddy, Traefik) and Tomcat, each in an answer with status 400. The document type
/// and white space make no difference. The words alone are not enough: an app may quote them from a request.
const PAGES: [&str; 4] = [
    "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title>",
    "<html><head><title>400 Bad Request</title></head><body><h1>Bad Request</h1>
        <p>Your browser sent a request that this server could not understand.<br />
        Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
    "Client sent an HTTP request to an HTTPS server.",
    "Bad Request This combination of host and port requires TLS.",
];
/// Beginning of a document type.
const DOCUMENT_TYPE: &[u8] = b"<!DOCTYPE ";
/// Time for which the first part of the body delays the head of a response. Web servers send both at once.
const WAIT: Duration = Duration::from_millis(100);

/// Fails if a response is the page of a web server that expects TLS. Such a server answers only the first request of a
/// connection. Costs nothing unless the status is 400.
pub(in crate::upstream) fn refuse_tls_port(
    response: Response<ResponseBody>,
    is_first: bool,
) -> impl Future<Output = Result<Response<ResponseBody>, Error>> {
    if is_first && may_be_of_tls_port(&response) {
        Either::Right(Box::pin(refuse_page(response)))
    } else {
        Either::Left(ready(Ok(response)))
    }
}

/// `true` if the response may come from a port that expects TLS, so that its body has to be looked at.
fn may_be_of_tls_port(response: &Response<ResponseBody>) -> bool {
    response.status() == StatusCode::BAD_REQUEST && {
        let backend = response.body().backend();
        backend.is_some_and(Address::may_speak_tls)
    }
}

/// Fails if the body of a response begins like the page of a web server that expects TLS.
async fn refuse_page(
    mut response: Response<ResponseBody>,
) -> Result<Response<ResponseBody>, Error> {
    let Some(backend) = response.body().backend().cloned() else {
        return Ok(response);
    };
    let Ok(first) = timeout(WAIT, response.body_mut().frame()).await else {
        return Ok(response);
    };
    let data = first
        .as_ref()
        .and_then(|frame| frame.as_ref().ok()?.data_ref());
    if data.is_some_and(|data| is_of_tls_port(data)) {
        return Err(Error::TlsPort { backend });
    }
    Ok(response.map(|rest| rest.begun(first, backend)))
}

fn is_of_tls_port(data: &[u8]) -> bool {
    let page = match data.iter().position(|byte| *byte == b'>') {
        Some(end) if data.starts_with(DOCUMENT_TYPE) => &data[end + 1..],
        _ => data,
    };
    let begins = |known: &&str| {
        let mut page = page.iter().filter(|byte| !byte.is_ascii_whitespace());
        let mut known = known.bytes().filter(|byte| !byte.is_ascii_whitespace());
        known.all(|byte| page.next() == Some(&byte))
    };
    PAGES.iter().any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_of_web_servers_are_recognized_and_their_words_in_answers_of_apps_are_not() {
        for page in [
            "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>",
            "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>400 Bad Request</title>\n\
             </head><body>\n<h1>Bad Request</h1>\n<p>Your browser sent a request that this server could not \
             understand.<br />\nReason: You're speaking plain HTTP to an SSL-enabled server port.<br />\n",
            "Client sent an HTTP request to an HTTPS server.\n",
            "Bad Request\r\nThis combination of host and port requires TLS.\r\n",
        ] {
            assert!(is_of_tls_port(page.as_bytes()), "{page}");
        }
        for page in [
            "",
            "Bad Request",
            "{\"error\":\"HTTPS port\"}",
            "invalid value: Client sent an HTTP request to an HTTPS server.",
            "<html><body><title>400 The plain HTTP request was sent to HTTPS port</title>",
            "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
            "no: This combination of host and port requires TLS.",
        ] {
            assert!(!is_of_tls_port(page.as_bytes()), "{page}");
        }
    }
}
