//! A TLS front for a store, with certificates made for the test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A company's own certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    _folder: tempfile::TempDir,
    /// Its certificate, as SSL_CERT_FILE takes it.
    pub file: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("company.pem");
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, _folder: folder, file }
    }

    /// A server's certificate for `name`, changed as a test wants it.
    fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap()
    }

    /// Listens with a certificate for `name` and hands what it decrypts to the server at `to`;
    /// returns its port.
    pub fn front(
        &self,
        name: &str,
        to: SocketAddr,
        change: impl FnOnce(&mut CertificateParams),
    ) -> u16 {
        let config = Arc::new(self.server(name, change));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let config = config.clone();
                std::thread::spawn(move || relay(client, config, to));
            }
        });
        port
    }
}

/// Requests and answers in turn, as a client without pipelining sends them: what was decrypted goes
/// on, and what comes back is encrypted, until either side ends.
fn relay(client: TcpStream, config: Arc<ServerConfig>, to: SocketAddr) -> Option<()> {
    let mut tls = StreamOwned::new(ServerConnection::new(config).ok()?, client);
    let mut store = TcpStream::connect(to).ok()?;
    let quick = Some(std::time::Duration::from_millis(2));
    tls.sock.set_read_timeout(quick).ok()?;
    store.set_read_timeout(quick).ok()?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        pass(&mut tls, &mut store, &mut buffer)?;
        pass(&mut store, &mut tls, &mut buffer)?;
    }
}

/// Passes on what is there; `None` at the end of it all.
fn pass(from: &mut impl Read, to: &mut impl Write, buffer: &mut [u8]) -> Option<()> {
    match from.read(buffer) {
        Ok(0) => None,
        Ok(count) => to.write_all(&buffer[..count]).and_then(|()| to.flush()).ok(),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Some(()),
        Err(_) => None,
    }
}
