//! The TCP connections under the uploads: what ureq's own do, and three things more.
//!
//! - What is small waits for what follows it, until an answer is awaited: a request's head goes out
//!   with its body, and records of TLS go out several at a time.
//! - Little waits in the kernel to be sent. What lies there when a connection breaks is lost, and has
//!   to be made and sent again.
//! - Waiting for an answer is no stall while the peer still takes what lies in the send buffer. A
//!   stall is when nothing of it has moved between two looks, a read's time-out apart.

use std::fmt;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use socket2::SockRef;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, ShutdownHandle,
    Transport,
};
use ureq::{Error, Timeout};

use super::unacknowledged::unacknowledged;

/// Bytes that may wait in the kernel before they are sent: enough to keep it busy while the next
/// are prepared. The kernel adapts the number of bytes in flight to the network.
const NOTSENT_LOWAT: u32 = 128 << 10;

/// The kernel hands at most 64 KiB, heads included, to the network in one piece. What is a little
/// shorter leaves no crumbs that would go as a piece of their own.
const GSO_SIZE: usize = 63 << 10;

/// Bytes of one write. Two segments at once cost less than one by one, and twice the memory.
pub(super) const WRITE_SIZE: usize = 2 * GSO_SIZE;

/// Number of connections that write a [`WRITE_SIZE`] at a time: the first ones. With more, memory
/// counts, and they write a [`GSO_SIZE`].
const MAX_LARGE_WRITERS: usize = 8;

/// More than a record of TLS (RFC 8446, 5.2), which is all that is written at once under it.
const MAX_TLS_RECORD: usize = 18 << 10;

/// Makes TCP connections, unless a proxy has already made one.
#[derive(Debug, Default)]
pub(super) struct TcpConnector {
    /// Each connection holds it, too.
    open: Arc<()>,
}

impl TcpConnector {
    /// Returns the write size of the next connection.
    fn write_size(&self) -> usize {
        let open = Arc::strong_count(&self.open) - 1;
        if open < MAX_LARGE_WRITERS { WRITE_SIZE } else { GSO_SIZE }
    }
}

impl<In: Transport> Connector<In> for TcpConnector {
    type Out = Either<In, Socket>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(proxied) = chained {
            return Ok(Some(Either::A(proxied)));
        }
        let stream = Arc::new(connect(&details.addrs, *details.timeout.after)?);
        let handle: Weak<TcpStream> = Arc::downgrade(&stream);
        (details.register_shutdown)(handle as Weak<dyn ShutdownHandle>)?;
        let write_size = self.write_size();
        let (output, flush_threshold) = match details.needs_tls() {
            true => (MAX_TLS_RECORD, write_size - MAX_TLS_RECORD),
            false => (write_size, MAX_TLS_RECORD),
        };
        Ok(Some(Either::B(Socket {
            stream,
            _open: Arc::clone(&self.open),
            buffers: LazyBuffers::new(details.config.input_buffer_size(), output),
            pending: Vec::new(),
            flush_threshold,
            read_timeout: None,
            write_timeout: None,
        })))
    }
}

/// Tries the addresses one after another; the time is shared evenly among those that are left.
fn connect(addresses: &[SocketAddr], time: Duration) -> Result<TcpStream, Error> {
    let began = Instant::now();
    let mut last = Error::HostNotFound;
    for (tried, address) in addresses.iter().enumerate() {
        let left = time.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(Error::Timeout(Timeout::Connect));
        }
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                SockRef::from(&stream).set_tcp_notsent_lowat(NOTSENT_LOWAT)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                last = Error::Timeout(Timeout::Connect);
            }
            Err(error) => last = Error::Io(error),
        }
    }
    Err(last)
}

/// A connection.
pub(super) struct Socket {
    stream: Arc<TcpStream>,
    _open: Arc<()>,
    buffers: LazyBuffers,
    /// Bytes that were passed to the socket and not written yet.
    pending: Vec<u8>,
    /// Number of bytes that are written at once; fewer wait for the bytes that follow.
    flush_threshold: usize,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Socket {
    fn read(&mut self) -> io::Result<usize> {
        loop {
            match (&*self.stream).read(self.buffers.input_append_buf()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Writes what waits and then the first `amount` bytes of the output, in one call where the kernel
    /// takes it.
    fn write_out(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let began = Instant::now();
        let output = &self.buffers.output()[..amount];
        let mut parts = &mut [IoSlice::new(&self.pending), IoSlice::new(output)][..];
        // Without those that are empty, so that nothing to write is no call.
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let timeout = left(timeout, began).for_write();
            let limit = limit(timeout)?;
            if limit != self.write_timeout {
                self.stream.set_write_timeout(limit)?;
                self.write_timeout = limit;
            }
            match (&*self.stream).write_vectored(parts) {
                Ok(0) => return Err(Error::Io(io::ErrorKind::WriteZero.into())),
                Ok(count) => IoSlice::advance_slices(&mut parts, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error, timeout.reason)),
            }
        }
        self.pending.clear();
        Ok(())
    }

    /// Returns how many written bytes the peer has not acknowledged.
    fn unacked_bytes(&self) -> u64 {
        let addresses = self.stream.local_addr().and_then(|a| Ok((a, self.stream.peer_addr()?)));
        addresses.ok().and_then(|(local, peer)| unacknowledged(local, peer)).unwrap_or(0)
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.pending.len() + amount > self.flush_threshold {
            return self.write_out(amount, timeout);
        }
        self.pending.extend_from_slice(&self.buffers.output()[..amount]);
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let began = Instant::now();
        if !self.pending.is_empty() {
            self.write_out(0, timeout)?;
        }
        let mut unacked_bytes = None;
        let count = loop {
            let timeout = left(timeout, began).for_read();
            let limit = limit(timeout)?;
            if limit != self.read_timeout {
                self.stream.set_read_timeout(limit)?;
                self.read_timeout = limit;
            }
            match self.read() {
                Err(error) if is_timeout(&error) && timeout.reason == Timeout::PerRead => {
                    let before = unacked_bytes.replace(self.unacked_bytes());
                    if before == unacked_bytes {
                        return Err(Error::Timeout(timeout.reason));
                    }
                }
                result => break result.map_err(|error| timed_out(error, timeout.reason))?,
            }
        };
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    /// Returns whether the connection can take another request: it is not closed, and no unexpected
    /// bytes have arrived.
    fn is_open(&mut self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let flags = libc_flags::PEEK | libc_flags::DONT_WAIT;
        match SockRef::from(&*self.stream).recv_with_flags(&mut byte, flags) {
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            Ok(_) => false,
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.stream.peer_addr().ok()).finish()
    }
}

/// Returns the rest of the whole timeout, of which one operation may use a part.
fn left(timeout: NextTimeout, began: Instant) -> NextTimeout {
    match timeout.after {
        after if after.is_not_happening() => timeout,
        after => NextTimeout { after: after.saturating_sub(began.elapsed()).into(), ..timeout },
    }
}

/// The time that one operation may take; none is without bound.
fn limit(timeout: NextTimeout) -> Result<Option<Duration>, Error> {
    match *timeout.after {
        Duration::ZERO => Err(Error::Timeout(timeout.reason)),
        _ if timeout.after.is_not_happening() => Ok(None),
        after => Ok(Some(after)),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn timed_out(error: io::Error, reason: Timeout) -> Error {
    if is_timeout(&error) { Error::Timeout(reason) } else { Error::Io(error) }
}

/// Linux' values of `recv`'s flags (recv(2)).
mod libc_flags {
    pub(super) const PEEK: i32 = 0x02;
    pub(super) const DONT_WAIT: i32 = 0x40;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_connections_use_larger_writes_than_later_ones() {
        let connector = TcpConnector::default();
        let open = [(); MAX_LARGE_WRITERS].map(|()| {
            assert_eq!(connector.write_size(), WRITE_SIZE);
            Arc::clone(&connector.open)
        });
        assert_eq!(connector.write_size(), GSO_SIZE);
        drop(open);
        assert_eq!(connector.write_size(), WRITE_SIZE);
    }
}
