//! The minimum cost of an upload: a blocking loop that writes zeros into upload sessions, and does
//! nothing else.
//!
//! With `--crc` it also computes their CRC32C, as every client that verifies its uploads must. Exits
//! with an error if an object does not arrive complete.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use gcs_uploader_rig::crc32c_text;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use url::Url;

/// Writes zeros into a store.
#[derive(Parser)]
struct Options {
    /// The store's URL.
    store: Url,
    /// Size of an object, in bytes.
    #[arg(long)]
    size: usize,
    /// Number of objects, sent one after the other on one connection.
    #[arg(long)]
    count: u64,
    /// Bytes per write: a little less than four times the largest segment that the kernel sends at once.
    #[arg(long, default_value_t = (4 * 63) << 10)]
    buffer: usize,
    /// Compute the CRC32C of the written bytes.
    #[arg(long)]
    crc: bool,
    /// Certificate to trust, if the store uses TLS.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut stream = BufReader::with_capacity(16 << 10, connect(&options)?);
    let zeros = vec![0; options.buffer];
    for number in 0..options.count {
        upload(&options, &mut stream, &zeros, number)?;
    }
    Ok(())
}

fn connect(options: &Options) -> io::Result<Box<dyn Stream>> {
    let address = options.store.socket_addrs(|| None)?;
    let stream = TcpStream::connect(&*address)?;
    stream.set_nodelay(true)?;
    let Some(file) = &options.ca else { return Ok(Box::new(stream)) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_reader_iter(File::open(file)?) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(Box::new(StreamOwned::new(connection, stream)))
}

fn upload(
    options: &Options,
    stream: &mut BufReader<Box<dyn Stream>>,
    zeros: &[u8],
    number: u64,
) -> io::Result<()> {
    // A real client declares the checksum in advance; here it also saves the sink from computing it.
    let announced =
        json!({"name": number.to_string(), "crc32c": crc32c_text(crc_of_zeros(options.size))});
    let body = announced.to_string();
    let target = "/upload/storage/v1/b/bucket/o?uploadType=resumable";
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.get_mut().write_all(head.as_bytes())?;
    let (headers, _) = read_response(stream)?;
    let location = headers.iter().find_map(|line| line.strip_prefix("Location: "));
    let session = location.and_then(|text| Url::parse(text).ok()).ok_or(io::ErrorKind::Other)?;
    let target = &session[url::Position::BeforePath..];
    let head = format!(
        "PUT {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        options.size
    );
    stream.get_mut().write_all(head.as_bytes())?;
    let (mut left, mut sum) = (options.size, 0);
    while left > 0 {
        let piece = &zeros[..zeros.len().min(left)];
        if options.crc {
            sum = crc32c::crc32c_append(sum, piece);
        }
        stream.get_mut().write_all(piece)?;
        left -= piece.len();
    }
    stream.get_mut().flush()?;
    let (_, body) = read_response(stream)?;
    let object: Value = serde_json::from_slice(&body)?;
    let whole = object["size"] == options.size.to_string();
    let right = !options.crc || object["crc32c"] == crc32c_text(sum);
    if whole && right {
        Ok(())
    } else {
        Err(io::Error::other("the stored object differs in size or checksum"))
    }
}

/// Returns the CRC32C of `size` zeros, combined from halves without reading each byte.
fn crc_of_zeros(size: usize) -> u32 {
    if size < 2 {
        return crc32c::crc32c(&[0][..size]);
    }
    let half = crc_of_zeros(size / 2);
    let even = crc32c::crc32c_combine(half, half, size / 2);
    if size % 2 == 0 { even } else { crc32c::crc32c_append(even, &[0]) }
}

/// Reads a response: the lines of its head, and its body.
fn read_response(stream: &mut impl io::BufRead) -> io::Result<(Vec<String>, Vec<u8>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    if !lines[0].starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(lines.swap_remove(0)));
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.and_then(|text| text.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok((lines, body))
}
