//! Requests that nobody should send. The emulator answers the next one all the same.

use std::net::Shutdown;

use super::*;

fn still_answers(emulator: &Emulator) {
    assert_eq!(get(emulator, "/storage/v1/b/pictures").status, 200);
}

#[test]
fn an_enormous_body_that_does_not_come_costs_nothing() {
    let emulator = emulator();
    let session = Session::start(&emulator, "a");
    for target in [session.target.as_str(), "/storage/v1/b?project=p", "/nowhere"] {
        for length in ["30000000000000", "18446744073709551615"] {
            let mut peer = Peer::to(&emulator);
            peer.send_head("POST", target, &[("Content-Length", length)]).unwrap();
            peer.write(&[b' '; 4000]).unwrap();
            peer.stream.get_ref().shutdown(Shutdown::Write).unwrap();
            assert!(peer.reply("POST").is_err());
        }
    }
    still_answers(&emulator);
}

#[test]
fn what_is_no_http_is_refused_or_dropped() {
    let emulator = emulator();
    for nonsense in [
        &b"\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /%FF%FE HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ] {
        let mut peer = Peer::to(&emulator);
        peer.write(nonsense).unwrap();
        peer.stream.get_ref().shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        peer.stream.read_to_end(&mut answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
    }
    still_answers(&emulator);
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let emulator = emulator();
    put(&emulator, "a", b"content");
    let mut peer = Peer::to(&emulator);
    for target in ["/nowhere", "/storage/v1/b/pictures/o/a", "/storage/v1/b/nowhere"] {
        peer.send_head("GET", target, &[]).unwrap();
    }
    let statuses: Vec<_> = (0..3).map(|_| peer.reply("GET").unwrap().status).collect();
    assert_eq!(statuses, [404, 200, 404]);
}

#[test]
fn a_client_that_waits_for_a_go_ahead_gets_it() {
    let emulator = emulator();
    let mut peer = Peer::to(&emulator);
    let target = format!("{UPLOADS}?uploadType=media&name=a");
    let headers = [("Content-Length", "3"), ("Expect", "100-continue")];
    peer.send_head("POST", &target, &headers).unwrap();
    assert!(peer.line().unwrap().starts_with("HTTP/1.1 100 "));
    while !peer.line().unwrap().is_empty() {}
    peer.write(b"abc").unwrap();
    assert_eq!(peer.reply("POST").unwrap().status, 200);
}

#[test]
fn an_emulator_ends_whatever_its_clients_do() {
    let emulator = emulator();
    let mut idle = Peer::to(&emulator);
    let mut half = Peer::to(&emulator);
    half.write(b"GET / HT").unwrap();
    let mut stalled = Peer::to(&emulator);
    let target = format!("{UPLOADS}?uploadType=media&name=a");
    stalled.send_head("POST", &target, &[("Content-Length", "100000")]).unwrap();
    still_answers(&emulator);
    let addr = emulator.addr();
    let begin = std::time::Instant::now();
    drop(emulator);
    assert!(begin.elapsed() < Duration::from_secs(10));
    for peer in [&mut idle, &mut half, &mut stalled] {
        assert!(peer.reply("GET").is_err());
    }
    assert!(TcpStream::connect(addr).is_err());
}
