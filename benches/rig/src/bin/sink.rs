//! A store that keeps nothing: it speaks as much of Cloud Storage's upload protocol as its clients
//! do, and throws the bytes away.
//!
//! It must not be what limits a measurement: a thread a connection, no lock, no state (a session's
//! URI says all there is to say about it), and where nobody asks for their sum, the bytes are thrown
//! away in the kernel.
//!
//! Prints its URL, then serves until it is ended. `GET /_sink` says what it has seen.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};

#[path = "../sink/conversation.rs"]
mod conversation;
#[path = "../sink/object.rs"]
mod object;
#[path = "../sink/wire.rs"]
mod wire;

use wire::{Tls, Wire};

/// A store that keeps nothing.
#[derive(Parser)]
struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// How long to wait before each answer of the API, in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency: u64,
    /// Speak TLS; the certificate to trust is written to this file.
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    /// Refuse objects that are not what was announced, which costs a look at every byte.
    #[arg(long)]
    verify: bool,
}

/// What all conversations share.
struct Sink {
    latency: Duration,
    verify: bool,
    scheme: &'static str,
    seen: Seen,
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    /// Connections that were accepted, under TLS with their handshake, but for those that only asked
    /// for this.
    connections: AtomicU64,
    /// Sessions that were started, and uploads in one request.
    starts: AtomicU64,
    /// Objects that are whole.
    objects: AtomicU64,
    /// Bytes of content.
    bytes: AtomicU64,
    /// Requests of the API that are not answered yet.
    in_flight: AtomicU64,
}

impl Seen {
    fn report(&self) -> Value {
        let count = |number: &AtomicU64| number.load(Relaxed);
        json!({
            "connections": count(&self.connections),
            "starts": count(&self.starts),
            "objects": count(&self.objects),
            "bytes": count(&self.bytes),
            "in_flight": count(&self.in_flight),
        })
    }
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind(&options.listen)?;
    let tls = options.tls.as_deref().map(Tls::with_new_certificate).transpose()?.map(Arc::new);
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("{scheme}://{}", listener.local_addr()?);
    let sink = Arc::new(Sink {
        latency: Duration::from_millis(options.latency),
        verify: options.verify,
        scheme,
        seen: Seen::default(),
    });
    loop {
        let (stream, _) = listener.accept()?;
        let (sink, tls) = (Arc::clone(&sink), tls.clone());
        thread::Builder::new().stack_size(256 << 10).spawn(move || {
            if let Err(error) = converse(&sink, tls.as_deref(), stream) {
                // As when a client is ended in the middle of it.
                eprintln!("sink: {error}");
            }
        })?;
    }
}

fn converse(sink: &Sink, tls: Option<&Tls>, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let wire = match tls {
        None => Wire::plain(stream),
        Some(tls) => tls.accept(stream)?,
    };
    conversation::run(sink, wire)
}
