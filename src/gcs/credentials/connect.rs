//! The connections to token endpoints: through the proxy that was given, with TLS against the
//! system's certificates, and bounded.
//!
//! Neither hyper nor yup-oauth2 bounds the response that it collects, so the connection does: it
//! breaks off an endpoint that sends more than a token needs. It also keeps the beginning of the
//! response, because yup-oauth2 looks at no status and drops a body that it cannot parse.
//!
//! TLS is verified against the operating system's store; `SSL_CERT_FILE` and `SSL_CERT_DIR` name
//! another one. The crypto provider is handed over, so that it never matters whether the process
//! has a default one.
//!
//! Speaks HTTP/1.1 only, and opens a connection for every request: there is one in an hour.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;
use ureq::ProxyProtocol;
use yup_oauth2::hyper::Uri;
use yup_oauth2::hyper::http::HeaderValue;
use yup_oauth2::hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use yup_oauth2::hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};

use super::last_response::LastResponse;

/// The largest response that a token endpoint may give, in bytes, its headers included. Real ones
/// have two to four thousand.
const MAX_RESPONSE_BYTES: usize = 256 << 10;

/// Time to open a TCP connection; several addresses may have to be tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The HTTP client for token requests.
pub(super) type TokenClient = Client<RecordingConnector, String>;

type BoxError = Box<dyn Error + Send + Sync>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Makes the client. `last_response` will hold what came over its last connection.
pub(super) fn client(
    proxy: Option<ureq::Proxy>,
    last_response: LastResponse,
) -> Result<TokenClient, rustls::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_nodelay(true);
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls()?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(ProxyConnector { tcp, proxy });
    Ok(Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(RecordingConnector { https, last_response }))
}

fn tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = || {
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
    };
    let config = match config()?.with_native_roots() {
        Ok(trusting) => trusting,
        Err(error) => {
            // The metadata server speaks plain HTTP, so this need not be the end.
            log::warn!(
                "no CA certificates, so that https token endpoints will not be trusted: {error}; \
                 install ca-certificates or set SSL_CERT_FILE"
            );
            config()?.with_root_certificates(RootCertStore::empty())
        }
    };
    Ok(config.with_no_client_auth())
}

/// Makes TCP connections, directly or through the proxy.
#[derive(Clone)]
pub(super) struct ProxyConnector {
    tcp: HttpConnector,
    proxy: Option<ureq::Proxy>,
}

impl ProxyConnector {
    /// The proxy for this destination. Plain `http` goes directly: it is the metadata server, or
    /// something else that is only to be reached from this machine.
    fn proxy_to(&self, destination: &Uri) -> Option<&ureq::Proxy> {
        let https = destination.scheme_str() == Some("https");
        self.proxy.as_ref().filter(|proxy| https && !proxy.is_no_proxy(destination))
    }
}

impl Service<Uri> for ProxyConnector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let tcp = self.tcp.clone();
        match self.proxy_to(&destination).cloned() {
            Some(proxy) => Box::pin(async move { through(&proxy, tcp, destination).await }),
            None => Box::pin(directly(tcp, destination)),
        }
    }
}

async fn directly<S>(mut connector: S, destination: Uri) -> Result<S::Response, BoxError>
where
    S: Service<Uri>,
    S::Error: Into<BoxError>,
{
    connector.call(destination).await.map_err(Into::into)
}

async fn through(
    proxy: &ureq::Proxy,
    tcp: HttpConnector,
    destination: Uri,
) -> Result<TokioIo<TcpStream>, BoxError> {
    let address: Uri = format!("http://{}:{}", proxy.host(), proxy.port()).parse()?;
    let user = proxy.username().map(|user| (user, proxy.password().unwrap_or_default()));
    let connected = match proxy.protocol() {
        ProxyProtocol::Http => {
            let tunnel = Tunnel::new(address, tcp);
            let tunnel = match user {
                Some((user, password)) => tunnel.with_auth(basic(user, password)?),
                None => tunnel,
            };
            directly(tunnel, destination).await
        }
        // The proxy resolves the name in both cases: to do it here would block the timer.
        ProxyProtocol::Socks5 | ProxyProtocol::Socks5h => {
            let socks = SocksV5::new(address, tcp);
            let socks = match user {
                Some((user, password)) => socks.with_auth(user.to_owned(), password.to_owned()),
                None => socks,
            };
            directly(socks, destination).await
        }
        other => Err(format!(
            "a proxy of the kind {other:?} is not supported for token requests; use http or socks5"
        )
        .into()),
    };
    connected.map_err(|error| format!("the proxy {}: {}", proxy.host(), chain(&*error)).into())
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, BoxError> {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    Ok(HeaderValue::try_from(format!("Basic {pair}"))?)
}

/// An error and its causes, without those that merely repeat.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// Makes connections that are bounded, and whose answers are remembered.
#[derive(Clone)]
pub(super) struct RecordingConnector {
    https: HttpsConnector<ProxyConnector>,
    last_response: LastResponse,
}

impl Service<Uri> for RecordingConnector {
    type Response = RecordingStream<<HttpsConnector<ProxyConnector> as Service<Uri>>::Response>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let (scheme, host) = (destination.scheme_str(), destination.authority());
        let host = host.map(|host| host.as_str()).unwrap_or_default();
        self.last_response.begin(format!("{}://{host}", scheme.unwrap_or_default()));
        let last_response = self.last_response.clone();
        let connecting = self.https.call(destination);
        Box::pin(async move {
            Ok(RecordingStream {
                stream: connecting.await?,
                last_response,
                room: MAX_RESPONSE_BYTES,
            })
        })
    }
}

/// A connection over which one response of bounded size comes.
pub(super) struct RecordingStream<S> {
    stream: S,
    last_response: LastResponse,
    room: usize,
}

impl<S: Connection> Connection for RecordingStream<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl<S: Read + Unpin> Read for RecordingStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut destination: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut space = [0; 8 << 10];
        let wanted = destination.remaining().min(space.len());
        let mut part = ReadBuf::new(&mut space[..wanted]);
        ready!(Pin::new(&mut this.stream).poll_read(cx, part.unfilled()))?;
        let read = part.filled();
        this.room = this.room.checked_sub(read.len()).ok_or_else(|| {
            io::Error::other(format!("the response is longer than {MAX_RESPONSE_BYTES} bytes"))
        })?;
        this.last_response.append(read);
        destination.put_slice(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for RecordingStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
