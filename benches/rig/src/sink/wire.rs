//! A connection's bytes, in clear text or under TLS.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustix::net::{RecvFlags, recv};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How much is taken at once.
const BUFFER: usize = 256 << 10;

pub(crate) struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    /// What of `buffer` has come and was not yet used.
    unused: std::ops::Range<usize>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self::new(Stream::Plain(stream))
    }

    fn new(stream: Stream) -> Self {
        Self { stream, buffer: vec![0; BUFFER], unused: 0..0 }
    }

    /// What has come and was not used.
    pub(crate) fn here(&self) -> &[u8] {
        &self.buffer[self.unused.clone()]
    }

    pub(crate) fn used(&mut self, count: usize) {
        self.unused.start += count;
    }

    /// Receives more behind what is here; how many bytes, none at the end.
    pub(crate) fn receive(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.unused.clone(), 0);
        self.unused = 0..self.unused.len();
        let room = &mut self.buffer[self.unused.end..];
        if room.is_empty() {
            return Err(io::Error::other("a request's head is too long"));
        }
        let count = match &mut self.stream {
            Stream::Plain(stream) => stream.read(room)?,
            Stream::Tls(stream) => stream.read(room)?,
        };
        self.unused.end += count;
        Ok(count)
    }

    /// Hands `length` bytes to `each`, piece by piece.
    pub(crate) fn take(&mut self, length: u64, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            if self.unused.is_empty() && self.receive()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = self.unused.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            each(&self.here()[..count]);
            self.used(count);
            left -= count as u64;
        }
        Ok(())
    }

    /// Throws `length` bytes away; tells `each` how many at a time.
    pub(crate) fn discard(&mut self, length: u64, each: impl Fn(u64)) -> io::Result<()> {
        let Stream::Plain(stream) = &self.stream else {
            return self.take(length, |bytes| each(bytes.len() as u64));
        };
        let here = (self.unused.len() as u64).min(length);
        self.unused.start += here as usize;
        each(here);
        let mut left = length - here;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            // On TCP, the kernel then drops them without copying (tcp(7)).
            let (_, count) = recv(stream, &mut self.buffer[..most], RecvFlags::TRUNC)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            each(count as u64);
            left -= count as u64;
        }
        self.unused = 0..0;
        Ok(())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

/// TLS with a certificate of its own.
pub(crate) struct Tls(Arc<ServerConfig>);

impl Tls {
    /// Makes a certificate, and writes it to `file` for those who are to trust it.
    pub(crate) fn with_new_certificate(file: &Path) -> io::Result<Self> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        fs::write(file, made.cert.pem())?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.map_err(io::Error::other)?)
            .map_err(io::Error::other)?;
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn accept(&self, mut stream: TcpStream) -> io::Result<Wire> {
        let mut connection =
            ServerConnection::new(Arc::clone(&self.0)).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Wire::new(Stream::Tls(Box::new(StreamOwned::new(connection, stream)))))
    }
}
