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
    let targets =
        [(session.target.as_str(), 400), ("/storage/v1/b?project=p", 400), ("/nowhere", 404)];
    for (target, status) in targets {
        for length in ["30000000000000", "18446744073709551615"] {
            let mut connection = Connection::to(&emulator);
            connection.send_head("POST", target, &[("Content-Length", length)]).unwrap();
            connection.write(&[b' '; 4000]).unwrap();
            connection.stream.get_ref().shutdown(Shutdown::Write).unwrap();
            assert_eq!(connection.read_response("POST").unwrap().status, status);
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
        let mut connection = Connection::to(&emulator);
        connection.write(nonsense).unwrap();
        connection.stream.get_ref().shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        connection.stream.read_to_end(&mut answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
    }
    still_answers(&emulator);
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let emulator = emulator();
    put(&emulator, "a", b"content");
    let mut connection = Connection::to(&emulator);
    for target in ["/nowhere", "/storage/v1/b/pictures/o/a", "/storage/v1/b/nowhere"] {
        connection.send_head("GET", target, &[]).unwrap();
    }
    let statuses: Vec<_> =
        (0..3).map(|_| connection.read_response("GET").unwrap().status).collect();
    assert_eq!(statuses, [404, 200, 404]);
}

#[test]
fn a_client_that_waits_for_a_go_ahead_gets_it() {
    let emulator = emulator();
    let mut connection = Connection::to(&emulator);
    let target = format!("{UPLOADS}?uploadType=media&name=a");
    let headers = [("Content-Length", "3"), ("Expect", "100-continue")];
    connection.send_head("POST", &target, &headers).unwrap();
    assert!(connection.line().unwrap().starts_with("HTTP/1.1 100 "));
    while !connection.line().unwrap().is_empty() {}
    connection.write(b"abc").unwrap();
    assert_eq!(connection.read_response("POST").unwrap().status, 200);
}

#[test]
fn an_emulator_ends_whatever_its_clients_do() {
    let emulator = emulator();
    let mut idle = Connection::to(&emulator);
    let mut half = Connection::to(&emulator);
    half.write(b"GET / HT").unwrap();
    let mut stalled = Connection::to(&emulator);
    let target = format!("{UPLOADS}?uploadType=media&name=a");
    stalled.send_head("POST", &target, &[("Content-Length", "100000")]).unwrap();
    still_answers(&emulator);
    let addr = emulator.addr();
    let begin = std::time::Instant::now();
    drop(emulator);
    assert!(begin.elapsed() < Duration::from_secs(10));
    for connection in [&mut idle, &mut half, &mut stalled] {
        assert!(connection.read_response("GET").is_err());
    }
    assert!(TcpStream::connect(addr).is_err());
}
