//! A wire that breaks where a test wants it to: connections to it go on to a server, and each is
//! cut after a number of bytes in one direction.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;

/// Where and how a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub direction: Direction,
    pub after: u64,
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Request,
    Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Reset,
    Close,
}

/// The wire. Connections are cut as planned, in the order in which they are made; those without a
/// plan are not.
pub struct Cutter {
    pub address: SocketAddr,
    plan: Arc<Mutex<VecDeque<Cut>>>,
}

impl Cutter {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Arc::new(Mutex::new(VecDeque::new()));
        let cuts = plan.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let cut = cuts.lock().unwrap().pop_front();
                let Ok(server) = TcpStream::connect(server) else { continue };
                connect(client, server, cut);
            }
        });
        Self { address, plan }
    }

    /// The next connections are cut like this, one after another.
    pub fn plan(&self, cuts: &[Cut]) {
        *self.plan.lock().unwrap() = cuts.iter().copied().collect();
    }
}

fn connect(client: TcpStream, server: TcpStream, cut: Option<Cut>) {
    let limit =
        |direction| cut.filter(|cut| cut.direction == direction).map_or(u64::MAX, |cut| cut.after);
    let how = cut.map_or(How::Close, |cut| cut.how);
    let (request_limit, answer_limit) = (limit(Direction::Request), limit(Direction::Answer));
    let ends = Arc::new((client, server));
    for (direction, limit) in
        [(Direction::Request, request_limit), (Direction::Answer, answer_limit)]
    {
        let ends = ends.clone();
        std::thread::spawn(move || {
            let (from, to) = match direction {
                Direction::Request => (&ends.0, &ends.1),
                Direction::Answer => (&ends.1, &ends.0),
            };
            if pass(from, to, limit).is_none() && how == How::Reset {
                let _ = SockRef::from(&ends.0).set_linger(Some(Duration::ZERO));
                let _ = SockRef::from(&ends.1).set_linger(Some(Duration::ZERO));
            }
            let _ = ends.0.shutdown(Shutdown::Both);
            let _ = ends.1.shutdown(Shutdown::Both);
        });
    }
}

/// Passes bytes on until there are no more, or until the limit: then `None`.
fn pass(mut from: &TcpStream, mut to: &TcpStream, mut limit: u64) -> Option<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        if limit == 0 {
            return None;
        }
        let most = buffer.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        let count = from.read(&mut buffer[..most]).ok().filter(|&count| count > 0);
        let Some(count) = count else { return Some(()) };
        if to.write_all(&buffer[..count]).is_err() {
            return Some(());
        }
        limit -= count as u64;
    }
}
