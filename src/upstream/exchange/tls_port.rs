//! Recognizes the answer of a backend that speaks TLS to a request in plain text. Without this, the page that the backend's web
//! server sends would pass for an answer of the app.

use std::future::{Future, ready};
use std::time::Duration;

use futures_util::future::Either;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::response_body::ResponseBody;
use crate::upstream::address::Protocol;
use crate::upstream::error::Error;

/// Words of nginx, Apache, Go (Caddy, Traefik) and Tomcat, each in an answer with status 400.
const SENTENCES: [&[u8]; 4] = [
    b"plain HTTP request was sent to HTTPS port",
    b"speaking plain HTTP to an SSL-enabled server port",
    b"Client sent an HTTP request to an HTTPS server",
    b"combination of host and port requires TLS",
];
/// Time for which the first part of the body delays the head of a response. Web servers send both at once.
const WAIT: Duration = Duration::from_millis(100);
/// Most bytes of the body that are searched.
const SEARCHED: usize = 4096;

/// Fails if a response is the page of a web server that expects TLS. Costs nothing unless its status is 400.
pub(in crate::upstream) fn refuse_tls_port(
    response: Response<ResponseBody>,
) -> impl Future<Output = Result<Response<ResponseBody>, Error>> {
    if may_be_of_tls_port(&response) {
        Either::Right(Box::pin(refuse_page(response)))
    } else {
        Either::Left(ready(Ok(response)))
    }
}

/// `true` if the response may come from a port that expects TLS, so that its body has to be looked at.
fn may_be_of_tls_port(response: &Response<ResponseBody>) -> bool {
    response.status() == StatusCode::BAD_REQUEST && {
        let backend = response.body().backend();
        backend.is_some_and(|it| it.protocol() == Protocol::Http && it.port().is_some())
    }
}

/// Fails if the body of a response begins with the words of a web server that expects TLS.
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
    let searched = &data[..data.len().min(SEARCHED)];
    let has = |words: &&[u8]| searched.windows(words.len()).any(|part| part == *words);
    SENTENCES.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_web_servers_are_recognized() {
        for page in [
            "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head>",
            "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
            "Client sent an HTTP request to an HTTPS server.\n",
            "Bad Request\r\nThis combination of host and port requires TLS.\r\n",
        ] {
            assert!(is_of_tls_port(page.as_bytes()), "{page}");
        }
        for page in ["", "Bad Request", "{\"error\":\"HTTPS port\"}"] {
            assert!(!is_of_tls_port(page.as_bytes()), "{page}");
        }
    }
}
