//! Measures the cost of single steps of a request; run it with `cargo bench --bench micro`.

use std::cell::Cell;
use std::sync::Arc;

use divan::{Bencher, black_box};
use proxy::certs::{CertCache, Certificate};
use proxy::name::{HostPattern, NameMap};

const SITES: usize = 10_000;

fn main() {
    divan::main();
}

/// Names in an order that defeats the processor's cache, repeated without end.
struct Names {
    names: Vec<String>,
    turn: Cell<usize>,
}

impl Names {
    fn new(form: impl Fn(usize) -> String) -> Self {
        let mut names: Vec<_> = (0..SITES).map(form).collect();
        fastrand::Rng::with_seed(7).shuffle(&mut names);
        Self {
            names,
            turn: Cell::new(0),
        }
    }

    fn next(&self) -> &str {
        let turn = self.turn.get();
        self.turn.set((turn + 1) % self.names.len());
        &self.names[turn]
    }
}

fn pattern(text: &str) -> HostPattern {
    HostPattern::parse(text).expect("the benches write valid patterns")
}

mod name_map {
    use super::{Bencher, NameMap, Names, SITES, black_box, pattern};

    fn map() -> NameMap<usize> {
        let mut map = NameMap::new();
        for index in 0..SITES {
            map.insert(pattern(&format!("site{index}.example.org")), index);
            map.insert(pattern(&format!("*.shop{index}.example.org")), index);
        }
        map
    }

    fn look_up(bencher: Bencher<'_, '_>, form: impl Fn(usize) -> String) {
        let (map, names) = (map(), Names::new(form));
        bencher.bench_local(|| map.lookup(black_box(names.next())).copied());
    }

    #[divan::bench]
    fn exact(bencher: Bencher<'_, '_>) {
        look_up(bencher, |index| format!("site{index}.example.org"));
    }

    #[divan::bench]
    fn wildcard(bencher: Bencher<'_, '_>) {
        look_up(bencher, |index| format!("www.shop{index}.example.org"));
    }

    #[divan::bench]
    fn upper_case(bencher: Bencher<'_, '_>) {
        look_up(bencher, |index| format!("Site{index}.Example.ORG"));
    }

    #[divan::bench]
    fn unknown(bencher: Bencher<'_, '_>) {
        look_up(bencher, |index| format!("nobody{index}.example.net"));
    }
}

mod cert_cache {
    use super::{Arc, Bencher, CertCache, Certificate, Names, SITES, black_box, pattern};

    fn cache() -> CertCache {
        let pair = rcgen::generate_simple_self_signed(["example.org".to_owned()])
            .expect("the name is valid");
        let pem = pair.cert.pem() + &pair.signing_key.serialize_pem();
        let certificate = Certificate::from_pem(pem.as_bytes()).expect("it was just made");
        let certificate = Arc::new(certificate);
        let cache = CertCache::new(2 * SITES);
        for index in 0..SITES {
            cache.insert(
                &pattern(&format!("site{index}.example.org")),
                Arc::clone(&certificate),
            );
            cache.insert(
                &pattern(&format!("*.shop{index}.example.org")),
                Arc::clone(&certificate),
            );
        }
        cache
    }

    fn look_up(bencher: Bencher<'_, '_>, form: impl Fn(usize) -> String) {
        let (cache, names) = (cache(), Names::new(form));
        bencher.bench_local(|| cache.lookup(black_box(names.next())));
    }

    #[divan::bench]
    fn exact(bencher: Bencher<'_, '_>) {
        look_up(bencher, |index| format!("site{index}.example.org"));
    }

    #[divan::bench]
    fn wildcard(bencher: Bencher<'_, '_>) {
        look_up(bencher, |index| format!("www.shop{index}.example.org"));
    }
}

/// Whole requests over HTTP/1.1 without TLS, with client and app in the same thread.
mod request {
    use std::convert::Infallible;
    use std::net::{Ipv4Addr, SocketAddr};

    use bytes::Bytes;
    use divan::black_box_drop;
    use http::{HeaderValue, Request, Response};
    use http_body_util::{BodyExt as _, Empty, Full};
    use hyper::body::Incoming;
    use hyper::client::conn::http1::SendRequest;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use proxy::http1::{HeadLimits, IncomingBody, ResponseFuture, ServerConnection, Service};
    use proxy::proxy::{
        Body, ConnInfo, CurrentRouter, Handler, Http1Body, ProxyService, Redirect, Router,
        ServiceOptions, Site,
    };
    use proxy::tasks::Tasks;
    use proxy::upstream::{Address, Options, Upstream, UpstreamContext};
    use tokio::net::TcpListener;
    use tokio::runtime::Runtime;
    use tokio::task::LocalSet;

    use super::{Arc, Bencher, pattern};

    struct Exchange {
        runtime: Runtime,
        local: LocalSet,
        client: SendRequest<Empty<Bytes>>,
    }

    impl Exchange {
        /// A client of the service over an in-memory stream.
        fn new(handler: impl AsyncFnOnce(&Tasks) -> Handler) -> Self {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be had");
            let local = LocalSet::new();
            let client = local.block_on(&runtime, async {
                let tasks = Tasks::new();
                let site = Site::new(pattern("www.example.org"), handler(&tasks).await);
                let router = CurrentRouter::new(&Router::new([site]), 1);
                serve(ProxyService::new(router, ServiceOptions::default(), tasks)).await
            });
            Self {
                runtime,
                local,
                client,
            }
        }

        fn once(&mut self) {
            let request = Request::get("/path?query=1")
                .header("host", "www.example.org")
                .header("user-agent", "bench/1.0")
                .header("accept", "*/*")
                .header("accept-encoding", "gzip, br")
                .header("cookie", "session=0123456789abcdef")
                .body(Empty::new())
                .expect("the request is valid");
            self.local.block_on(&self.runtime, async {
                self.client.ready().await.expect("the connection stays");
                let answer = self.client.send_request(request).await;
                let body = answer.expect("it is answered").into_body().collect().await;
                black_box_drop(body.expect("the body comes whole"));
            });
        }
    }

    /// The service of one connection.
    struct Served {
        service: ProxyService,
        conn: Arc<ConnInfo>,
    }

    impl Service for Served {
        type Body = Body;

        fn call(&self, request: Request<IncomingBody>) -> ResponseFuture<Body> {
            let (service, conn) = (self.service.clone(), Arc::clone(&self.conn));
            let request = request.map(|body| Http1Body::new(body, Arc::default()));
            Box::pin(async move { service.call(request, &conn, None).await })
        }

        fn date(&self) -> HeaderValue {
            HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT")
        }
    }

    async fn serve(service: ProxyService) -> SendRequest<Empty<Bytes>> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 443));
        let conn = Arc::new(ConnInfo::new(address, None));
        let limits = HeadLimits {
            size: 32 * 1024,
            fields: 100,
        };
        let served = ServerConnection::new(far, Served { service, conn }, limits);
        tokio::task::spawn_local(served);
        let (client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near))
            .await
            .expect("memory takes the handshake");
        tokio::task::spawn_local(connection);
        client
    }

    /// An app on a loopback port that answers 1 KiB.
    async fn app() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = service_fn(|_: Request<Incoming>| async {
                    let body = Full::new(Bytes::from_static(&[b'b'; 1024]));
                    Ok::<_, Infallible>(Response::new(body))
                });
                tokio::task::spawn_local(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), answer),
                );
            }
        });
        address
    }

    #[divan::bench]
    fn redirected(bencher: Bencher<'_, '_>) {
        let mut exchange = Exchange::new(async |_| {
            let redirect = Redirect::parse("https://example.org");
            Handler::Redirect(redirect.expect("the target is valid"))
        });
        bencher.bench_local(|| exchange.once());
    }

    #[divan::bench]
    fn forwarded(bencher: Bencher<'_, '_>) {
        let mut exchange = Exchange::new(async |tasks| {
            let address = Address::parse(&app().await.to_string()).expect("it is an address");
            let upstream = Upstream::new(
                vec![address],
                Options::default(),
                &UpstreamContext::new(tasks.clone()),
            );
            Handler::Upstream(Arc::new(upstream.expect("plain HTTP needs no files")))
        });
        bencher.bench_local(|| exchange.once());
    }
}
