//! Fields of a request that depend on the backend to which it goes. Each attempt sets them again.

use http::header::HOST;
use http::{HeaderName, HeaderValue, Request};

use crate::upstream::address::{Address, Protocol};
use crate::upstream::body::RequestBody;
use crate::upstream::options::BackendHost;

const DESTINATION: HeaderName = HeaderName::from_static("destination");

/// Fields that each attempt sets for its backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackendFields<'r> {
    pub(super) host: &'r BackendHost,
    /// Path of the field Destination of WebDAV, if the backend is to see it as a URL of its own.
    pub(super) dav_destination: Option<&'r str>,
}

impl BackendFields<'_> {
    /// Sets the fields of a request for the backend at `address`.
    pub(super) fn set(self, request: &mut Request<RequestBody>, address: &Address) {
        match self.host {
            BackendHost::Client => {}
            BackendHost::Upstream => {
                let host = HeaderValue::try_from(address.host_field());
                let host = host.expect("an address is written in visible ASCII");
                request.headers_mut().insert(HOST, host);
            }
            BackendHost::Name(name) => {
                request.headers_mut().insert(HOST, name.clone());
            }
        }
        if let Some(path) = self.dav_destination {
            set_destination(request, path, address);
        }
    }
}

fn set_destination(request: &mut Request<RequestBody>, path: &str, address: &Address) {
    let scheme: &[u8] = match address.protocol() {
        Protocol::Https => b"https://",
        Protocol::Http | Protocol::H2c => b"http://",
    };
    let headers = request.headers_mut();
    let host = headers.get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let url = HeaderValue::try_from([scheme, host, path.as_bytes()].concat());
    let url = url.expect("a scheme, a host and a path are a valid value");
    headers.insert(DESTINATION, url);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_names_the_host_of_its_backend() {
        let mut request = Request::new(RequestBody::empty());
        let client = HeaderValue::from_static("www.example.org");
        request.headers_mut().insert(HOST, client);
        let (one, other) = ("https://one.internal", "http://[::1]:3000");
        for (host, address, seen) in [
            (BackendHost::Client, one, "www.example.org"),
            (BackendHost::Upstream, one, "one.internal"),
            (BackendHost::Upstream, other, "[::1]:3000"),
            (
                BackendHost::Name(HeaderValue::from_static("app:81")),
                other,
                "app:81",
            ),
        ] {
            let fields = BackendFields {
                host: &host,
                dav_destination: Some("/b?c"),
            };
            let address = Address::parse(address).unwrap();
            fields.set(&mut request, &address);
            assert_eq!(request.headers()[HOST], seen);
            let scheme = match address.protocol() {
                Protocol::Https => "https",
                _ => "http",
            };
            let destination = format!("{scheme}://{seen}/b?c");
            assert_eq!(request.headers()[DESTINATION], destination);
            assert_eq!(request.headers().get_all(HOST).iter().count(), 1);
        }
    }
}
