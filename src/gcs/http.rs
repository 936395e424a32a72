//! Carries requests over HTTP/1.1 with ureq: kept-alive connections, TLS with the system's trust
//! store, proxies from the environment.

mod resolver;
mod socket;
mod unacknowledged;

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ureq::http::{HeaderMap, Request as HttpRequest, Response as HttpResponse, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::{
    ConnectProxyConnector, Connector as _, RustlsConnector, SocksConnector,
};
use ureq::{Agent, Error, SendBody};

use crate::content::Content;

use self::resolver::CachingResolver;
use self::socket::{TcpConnector, WRITE_SIZE};
use super::Observer;
use super::transport::{Body, MAX_BODY, Method, Request, Response, Transport, TransportError};

/// Connection settings.
#[derive(Clone, Copy, Debug)]
pub struct HttpConfig {
    /// Idle connections that are kept open: as many as uploads run at a time.
    pub connections: usize,
    /// Time to open a connection.
    pub connect_timeout: Duration,
    /// How long nothing may move on a connection that should: bounds a stall, not a transfer. One
    /// that begins while a response is awaited is noticed after twice this time at the latest.
    pub stall_timeout: Duration,
}

impl HttpConfig {
    /// The defaults for this many uploads at a time: 10 s to connect, 20 s without movement.
    pub fn for_uploads(connections: usize) -> Self {
        let connect_timeout = Duration::from_secs(10);
        Self { connections, connect_timeout, stall_timeout: Duration::from_secs(20) }
    }
}

/// Time for which an idle connection is kept: Google's front ends keep theirs longer.
const MAX_IDLE: Duration = Duration::from_secs(60);
/// How many bytes are read at a time. a response's header must fit in.
const INPUT_BUFFER: usize = 16 << 10;

/// The transport that is used in production.
pub struct HttpTransport {
    agent: Agent,
    /// Outlives the other: for the last requests of uploads that were interrupted.
    urgent: Agent,
    interrupted: AtomicBool,
}

impl HttpTransport {
    /// A transport without any connection yet.
    pub fn new(config: HttpConfig) -> Self {
        Self { agent: agent(config), urgent: agent(config), interrupted: AtomicBool::new(false) }
    }
}

fn agent(config: HttpConfig) -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let config = Agent::config_builder()
        .user_agent(concat!("gcs-uploader/", env!("CARGO_PKG_VERSION")))
        // Every status is a response, 308 the most common of them.
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(config.connections)
        .max_idle_connections_per_host(config.connections)
        .max_idle_age(MAX_IDLE)
        .input_buffer_size(INPUT_BUFFER)
        // Where a proxy's connector has made the connection; `socket` chooses for its own.
        .output_buffer_size(WRITE_SIZE)
        .timeout_resolve(Some(config.connect_timeout))
        .timeout_connect(Some(config.connect_timeout))
        .timeout_per_read(Some(config.stall_timeout))
        .timeout_per_write(Some(config.stall_timeout))
        .tls_config(tls)
        .build();
    let connector =
        ().chain(SocksConnector::default())
            .chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(RustlsConnector::default());
    Agent::with_parts(config, connector, CachingResolver::default())
}

impl Transport for HttpTransport {
    fn send(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let interrupted = || !request.urgent && self.interrupted.load(Ordering::Relaxed);
        if interrupted() {
            return Err(TransportError::Interrupted);
        }
        let agent = if request.urgent { &self.urgent } else { &self.agent };
        exchange(agent, request).map_err(|error| match interrupted() {
            true => TransportError::Interrupted,
            false => classify(&error),
        })
    }

    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
        self.agent.clone().shutdown();
    }
}

fn exchange(agent: &Agent, request: &Request<'_>) -> Result<Response, Error> {
    let mut head = HttpRequest::builder().method(request.method.as_str()).uri(request.url);
    for (name, value) in &request.headers {
        head = head.header(*name, value);
    }
    let timeout = Some(request.timeout);
    let mut send = |length: u64, body: &mut dyn Read| {
        let head = std::mem::take(&mut head).header(header::CONTENT_LENGTH, length);
        let request = head.body(SendBody::from_reader(body))?;
        agent.run(agent.configure_request(request).timeout_global(timeout).build())
    };
    let response = match (&request.body, request.method) {
        (Body::Empty, Method::Get | Method::Delete) => {
            let request = head.body(())?;
            agent.run(agent.configure_request(request).timeout_global(timeout).build())
        }
        (Body::Empty, Method::Post | Method::Put) => send(0, &mut io::empty()),
        (Body::Bytes(bytes), _) => send(bytes.len() as u64, &mut &**bytes),
        (&Body::Rest { content, offset, observer }, _) => {
            let length = content.size().saturating_sub(offset);
            send(length, &mut Rest { content, offset, observer })
        }
        (&Body::Part { bytes, observer }, _) => {
            send(bytes.len() as u64, &mut Part { bytes, observer })
        }
    };
    response.map(to_response)
}

fn to_response(response: HttpResponse<ureq::Body>) -> Response {
    let (head, body) = response.into_parts();
    Response {
        status: head.status.as_u16(),
        location: header_value(&head.headers, header::LOCATION),
        range: header_value(&head.headers, header::RANGE),
        retry_after: header_value(&head.headers, header::RETRY_AFTER),
        body: read_body(body),
    }
}

fn header_value(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The beginning of a response's body. Where it breaks off is where it ends: whether what came makes
/// sense is for its reader to say. Read to the end, it gives the connection back for the next.
fn read_body(body: ureq::Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = body.into_reader().take(MAX_BODY as u64);
    if let Err(error) = reader.read_to_end(&mut bytes) {
        log::debug!("a response broke off after {} bytes: {}", bytes.len(), error.kind());
    }
    bytes
}

/// The content from an offset on, as a stream.
struct Rest<'a> {
    content: &'a dyn Content,
    offset: u64,
    observer: &'a dyn Observer,
}

impl Read for Rest<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read_at(self.offset, buffer).map_err(io::Error::other)?;
        self.offset += count as u64;
        self.observer.sent(count as u64);
        Ok(count)
    }
}

/// A part of a stream, as a stream again.
struct Part<'a> {
    bytes: &'a [u8],
    observer: &'a dyn Observer,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.observer.sent(count as u64);
        Ok(count)
    }
}

/// Classifies an error of ureq. Never quotes a URL.
fn classify(error: &Error) -> TransportError {
    match error {
        Error::Timeout(ureq::Timeout::Global) => TransportError::TimedOut,
        Error::Timeout(phase @ (ureq::Timeout::Resolve | ureq::Timeout::Connect)) => {
            TransportError::Connect(format!("timed out at {phase}"))
        }
        Error::Timeout(phase) => TransportError::Stalled(phase.to_string()),
        Error::HostNotFound => TransportError::Connect("the host's name was not found".into()),
        Error::ConnectionFailed | Error::ConnectProxyFailed(_) => {
            TransportError::Connect(error.to_string())
        }
        Error::Io(error) => classify_io(error),
        Error::Rustls(error) => classify_tls(error),
        Error::Tls(what) => TransportError::Tls((*what).to_owned()),
        Error::TlsRequired => TransportError::Tls("the connection is not encrypted".into()),
        Error::Protocol(error) => TransportError::Protocol(format!("no HTTP response: {error}")),
        Error::LargeResponseHeader(..) => TransportError::Protocol(error.to_string()),
        Error::BadUri(_) => TransportError::Protocol("invalid URL".into()),
        other => TransportError::Broken(kind_of(other)),
    }
}

fn classify_io(error: &io::Error) -> TransportError {
    if let Some(tls) = inner::<rustls::Error>(error) {
        return classify_tls(tls);
    }
    let text = error.to_string();
    match error.kind() {
        // What the resolver says has no kind of its own, and no other error comes from it.
        _ if text.starts_with("failed to lookup address") => TransportError::Connect(text),
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => TransportError::Connect(text),
        io::ErrorKind::Other if error.get_ref().is_some_and(|e| e.is::<io::Error>()) => {
            TransportError::Content(text)
        }
        _ => TransportError::Broken(text),
    }
}

/// A peer that cannot prove who it is, or cannot speak TLS with us, will not learn it by waiting;
/// a record that was damaged on the way is a broken connection.
fn classify_tls(error: &rustls::Error) -> TransportError {
    match error {
        rustls::Error::InvalidCertificate(_)
        | rustls::Error::NoCertificatesPresented
        | rustls::Error::UnsupportedNameType
        | rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(_)
        // What is wrong on this side, as when there are no CA certificates at all.
        | rustls::Error::General(_) => TransportError::Tls(error.to_string()),
        _ => TransportError::Broken(error.to_string()),
    }
}

fn inner<E: std::error::Error + 'static>(error: &io::Error) -> Option<&E> {
    let mut inner: Option<&(dyn std::error::Error + 'static)> =
        error.get_ref().map(|error| error as _);
    while let Some(error) = inner {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        inner = error.source();
    }
    None
}

/// The variant's name alone: the text of an error that is not known here may hold a URL.
fn kind_of(error: &Error) -> String {
    let text = format!("{error:?}");
    text.chars().take_while(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests;
