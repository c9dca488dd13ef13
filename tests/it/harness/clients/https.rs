//! Clients as strict as browsers: they trust one root and nothing else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use proxy::tasks::Tasks;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A TLS client with one root.
#[derive(Clone)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    tasks: Tasks,
}

/// A response read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) fn new(root_pem: &str) -> Self {
        Self::speaking(ALL_VERSIONS, root_pem)
    }

    /// A client that offers only these versions of TLS.
    pub(crate) fn speaking(versions: &[&'static SupportedProtocolVersion], root_pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(root_pem.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            config: Arc::new(config),
            tasks: Tasks::new(),
        }
    }

    fn with(&self, change: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        change(&mut config);
        Self {
            config: Arc::new(config),
            tasks: self.tasks.clone(),
        }
    }

    /// Returns the same client, but offering only this ALPN protocol.
    pub(crate) fn alpn(&self, protocol: &str) -> Self {
        self.with(|config| config.alpn_protocols = vec![protocol.as_bytes().to_vec()])
    }

    /// Returns the same client, but without SNI.
    pub(crate) fn without_sni(&self) -> Self {
        self.with(|config| config.enable_sni = false)
    }

    /// Returns the same client, but with a client certificate.
    pub(crate) fn identified(
        &self,
        certificate: &rcgen::Certificate,
        key: &rcgen::KeyPair,
    ) -> Self {
        let chain = vec![certificate.der().clone()];
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let resolver = SingleCertAndKey::from(
            CertifiedKey::from_der(chain, key, &default_provider()).unwrap(),
        );
        self.with(|config| config.client_auth_cert_resolver = Arc::new(resolver))
    }

    /// Returns the same client, but sending early data where it may.
    pub(crate) fn early(&self) -> Self {
        self.with(|config| config.enable_early_data = true)
    }

    /// Returns the configuration of the same client over QUIC.
    pub(crate) fn quic(&self) -> quinn::ClientConfig {
        let config = Arc::clone(&self.alpn("h3").config);
        let config = quinn::crypto::rustls::QuicClientConfig::try_from(config);
        quinn::ClientConfig::new(Arc::new(config.unwrap()))
    }

    /// Opens a verified TLS connection.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        self.over(TcpStream::connect(address).await?, name).await
    }

    /// Opens a verified TLS connection over this TCP connection.
    pub(crate) async fn over(
        &self,
        stream: TcpStream,
        name: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::clone(&self.config))
            .connect(name, stream)
            .await
    }

    /// Serial number of the certificate that is served for a name, in hexadecimal.
    pub(crate) async fn serial(&self, address: SocketAddr, name: &str) -> io::Result<String> {
        let stream = self.connect(address, name).await?;
        let leaf = &stream.get_ref().1.peer_certificates().unwrap()[0];
        let (_, leaf) = x509_parser::parse_x509_certificate(leaf).unwrap();
        Ok(leaf
            .raw_serial()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }

    /// Opens an HTTP/1.1 connection.
    pub(crate) async fn http1(
        &self,
        address: SocketAddr,
        name: &str,
    ) -> http1::SendRequest<Full<Bytes>> {
        let stream = self.alpn("http/1.1").connect(address, name).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        self.tasks.spawn(connection);
        sender
    }

    /// Opens an HTTP/2 connection.
    pub(crate) async fn http2(
        &self,
        address: SocketAddr,
        name: &str,
    ) -> http2::SendRequest<Full<Bytes>> {
        let stream = self.alpn("h2").connect(address, name).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let executor = Executor(self.tasks.clone());
        let (sender, connection) = http2::handshake(executor, TokioIo::new(stream))
            .await
            .unwrap();
        self.tasks.spawn(connection);
        sender
    }

    /// Sends `GET path` over HTTP/1.1 on a connection of its own.
    pub(crate) async fn get(&self, address: SocketAddr, name: &str, path: &str) -> Answer {
        let request = Request::get(path)
            .header("host", name)
            .body(Full::default())
            .unwrap();
        read(
            self.http1(address, name)
                .await
                .send_request(request)
                .await
                .unwrap(),
        )
        .await
    }

    /// Returns what the app at `name` receives of a request with these fields, over HTTP/1.1.
    pub(crate) async fn fields(
        &self,
        address: SocketAddr,
        name: &str,
        fields: &[(&str, &str)],
    ) -> String {
        let mut request = Request::get("/fields").header("host", name);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::default()).unwrap();
        let mut sender = self.http1(address, name).await;
        let answer = read(sender.send_request(request).await.unwrap()).await;
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    /// Sends `GET path` over HTTP/2 on a connection of its own.
    pub(crate) async fn get2(&self, address: SocketAddr, name: &str, path: &str) -> Answer {
        let uri = format!("https://{name}{path}");
        let request = Request::get(uri).body(Full::default()).unwrap();
        read(
            self.http2(address, name)
                .await
                .send_request(request)
                .await
                .unwrap(),
        )
        .await
    }
}

/// Reads a response to its end.
pub(crate) async fn read(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: head.status,
        body,
    }
}

#[derive(Clone)]
struct Executor(Tasks);

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
