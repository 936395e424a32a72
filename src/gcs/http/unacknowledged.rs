//! Bytes written to a connection that its peer has not acknowledged, as Linux reports them in
//! `/proc/self/net/tcp` (proc_net_tcp in the kernel's documentation).

use std::fs;
use std::net::{IpAddr, SocketAddr};

/// The bytes in the connection's send queue; `None` if the system does not tell.
pub(super) fn unacknowledged(local: SocketAddr, peer: SocketAddr) -> Option<u64> {
    let table = if local.is_ipv4() { "/proc/self/net/tcp" } else { "/proc/self/net/tcp6" };
    find(&fs::read_to_string(table).ok()?, local, peer)
}

/// The send queue in the line of this connection: the fields are its number, both addresses, the
/// state, and `tx_queue:rx_queue`, in hexadecimal.
fn find(table: &str, local: SocketAddr, peer: SocketAddr) -> Option<u64> {
    let (local, peer) = (written(local), written(peer));
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let ours = fields.next()? == local && fields.next()? == peer;
        let queues = fields.nth(1).filter(|_| ours)?;
        u64::from_str_radix(queues.split(':').next()?, 16).ok()
    })
}

/// An address as the table has it: each 32 bits of the IP address in the machine's byte order.
fn written(address: SocketAddr) -> String {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (words, _) = octets.as_chunks::<4>();
    let ip: String = words.iter().map(|w| format!("{:08X}", u32::from_ne_bytes(*w))).collect();
    format!("{ip}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn send_queue_of_a_connection_is_found_among_others() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr\n   \
             0: 0100007F:1F90 0100007F:C350 01 00000007:00000000 00:00000000\n   \
             1: 0100007F:C350 0100007F:1F90 01 0001F400:00000009 01:00000014\n";
        let (local, peer) = ("127.0.0.1:50000".parse().unwrap(), "127.0.0.1:8080".parse().unwrap());
        if cfg!(target_endian = "little") {
            assert_eq!(find(table, local, peer), Some(0x1F400));
        }
        assert_eq!(find(table, local, local), None);
        assert_eq!(find("", local, peer), None);
        assert_eq!(find("1: 0100007F:C350", local, peer), None);
    }

    #[test]
    fn bytes_that_a_peer_does_not_read_are_counted() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (local, peer) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            stream.set_nonblocking(true).unwrap();
            while stream.write(&[0; 64 << 10]).is_ok() {}
            assert!(unacknowledged(local, peer).unwrap() > 0, "{address}");
        }
    }
}
