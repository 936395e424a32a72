//! What is under way and what lately was, and uploads whose clients do not wait.

use serde_json::json;

use super::*;

/// Takes out of an upload as it is shown what is never the same twice, and holds it to its form.
fn settled(mut upload: Value) -> Value {
    let members = upload.as_object_mut().unwrap();
    for (member, is_so) in [
        ("id", (|value| value.as_str().is_some_and(|id| id.len() == 32)) as fn(&Value) -> bool),
        ("since", |value| humantime::parse_rfc3339(value.as_str().unwrap()).is_ok()),
        ("durationSeconds", |value| value.as_f64().is_some_and(|seconds| seconds >= 0.0)),
        ("bytesPerSecond", Value::is_u64),
    ] {
        let value = members.remove(member).unwrap_or_else(|| panic!("{member} is missing"));
        assert!(is_so(&value), "{member}: {value}");
    }
    let ended = members.remove("ended");
    let has_ended = ["stored", "failed"].contains(&members["state"].as_str().unwrap());
    assert_eq!(ended.is_some(), has_ended);
    upload
}

fn post_async(server: &Running, target: &str) -> Reply {
    let mut client = server.connect();
    client.send(&format!("POST {target} HTTP/1.1\r\nHost: t\r\nPrefer: respond-async\r\n\r\n"));
    client.receive()
}

/// The upload of this location, once it has ended.
fn ended(server: &Running, location: &str) -> Value {
    server.wait_for(location, |reply| reply.json()["ended"].is_string());
    server.ask(&format!("GET {location}")).json()
}

#[test]
fn at_first_there_is_nothing_but_what_the_server_is() {
    let reply = run(Plan::Store).ask("GET /api/uploads");
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    let nothing = vec![0; 60];
    assert_eq!(
        reply.json(),
        json!({
            "server": {
                "version": env!("CARGO_PKG_VERSION"), "bucket": "bucket",
                "endpoint": "https://storage.test", "workers": 2, "queueDepth": 8,
                "uploadSize": 1_048_576, "maxUploadSize": 16_777_216, "remembered": 100,
            },
            "inFlight": [], "finished": [],
            "throughput": {
                "intervalSeconds": 5, "bytesSent": nothing, "stored": nothing, "failed": nothing,
            },
        })
    );
}

#[test]
fn an_upload_that_ended_is_shown_with_the_answer_that_it_got() {
    let server = run(Plan::StoreAfterFaults);
    let answer = server.ask("POST /api/upload-random?size=1000");
    let uploads = server.ask("GET /api/uploads").json();
    assert_eq!(uploads["inFlight"], json!([]));
    let [upload] = &uploads["finished"].as_array().unwrap()[..] else { panic!("{uploads}") };
    assert_eq!(
        settled(upload.clone()),
        json!({
            "state": "stored", "name": answer.json()["name"], "size": 1000, "bytesSent": 1000,
            "bytesPersisted": 0, "resumed": 1, "retried": 1,
            "requestId": answer.header("x-request-id"), "result": answer.json(),
        })
    );
    let sum = |of: &str| {
        let intervals = uploads["throughput"][of].as_array().unwrap();
        intervals.iter().map(|value| value.as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((sum("bytesSent"), sum("stored"), sum("failed")), (1000, 1, 0));
}

#[test]
fn an_upload_that_failed_is_shown_with_its_problem() {
    let server = run(Plan::Fail(ErrorKind::Refused));
    let answer = server.ask("POST /api/upload-random?size=7");
    let uploads = server.ask("GET /api/uploads").json();
    assert_eq!(
        settled(uploads["finished"][0].clone()),
        json!({
            "state": "failed", "name": answer.json()["name"], "size": 7, "bytesSent": 0,
            "bytesPersisted": 0, "resumed": 0, "retried": 0,
            "requestId": answer.header("x-request-id"), "problem": answer.json(),
        })
    );
}

#[test]
fn an_upload_that_panicked_is_shown_as_one_that_failed() {
    let server = run(Plan::Panic);
    let answer = server.ask("POST /api/upload-random");
    let uploads = server.ask("GET /api/uploads").json();
    assert_eq!(uploads["inFlight"], json!([]));
    assert_eq!(uploads["finished"][0]["problem"], answer.json());
}

#[test]
fn what_runs_and_what_waits_is_in_flight_in_the_order_in_which_it_came() {
    let one_worker = |config: &mut Config| config.workers = NonZeroUsize::MIN;
    let server = Setup::new(Plan::StoreWhenReleased).with(one_worker).run();
    let _running = server.begin_upload();
    let mut waiting = server.connect();
    waiting.send(&request("POST /api/upload-random?size=5"));
    server
        .wait_for("/api/uploads", |reply| reply.json()["inFlight"].as_array().unwrap().len() == 2);
    let uploads = server.ask("GET /api/uploads").json();
    let name = uploads["inFlight"][0]["name"].clone();
    assert!(name.as_str().unwrap().starts_with("in box/"));
    let ids = [0, 1].map(|index| uploads["inFlight"][index]["requestId"].clone());
    let [running, queued] = [0, 1].map(|index| settled(uploads["inFlight"][index].clone()));
    assert_eq!(
        running,
        json!({
            "state": "running", "name": name, "size": 1_048_576, "bytesSent": 0,
            "bytesPersisted": 0, "resumed": 0, "retried": 0, "requestId": ids[0],
        })
    );
    assert_eq!(
        queued,
        json!({
            "state": "queued", "size": 5, "bytesSent": 0, "bytesPersisted": 0, "resumed": 0,
            "retried": 0, "requestId": ids[1],
        }),
        "what waits has no name yet"
    );
    (0..2).for_each(|_| server.release.send(()).unwrap());
    assert_eq!(waiting.receive().status, 201);
}

#[test]
fn what_was_refused_was_never_in_flight() {
    let full = |config: &mut Config| (config.workers, config.queue_depth) = (NonZeroUsize::MIN, 1);
    let server = Setup::new(Plan::StoreWhenReleased).with(full).run();
    let mut running = server.begin_upload();
    let mut waiting = server.connect();
    waiting.send(&request("POST /api/upload-random"));
    server.wait_for_metric("gcs_uploader_queue_depth 1");
    assert_eq!(server.ask("POST /api/upload-random").status, 503);
    assert_eq!(server.ask("POST /api/upload-random?size=no").status, 400);
    let uploads = server.ask("GET /api/uploads").json();
    assert_eq!(uploads["inFlight"].as_array().unwrap().len(), 2);
    assert_eq!(uploads["finished"], json!([]));
    (0..2).for_each(|_| server.release.send(()).unwrap());
    assert_eq!([running.receive().status, waiting.receive().status], [201, 201]);
}

#[test]
fn a_clients_own_file_is_shown_like_any_other() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    client
        .send("POST /api/upload?name=a.txt HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello");
    let answer = client.receive();
    let uploads = server.ask("GET /api/uploads").json();
    assert_eq!(
        settled(uploads["finished"][0].clone()),
        json!({
            "state": "stored", "name": "in box/a.txt", "size": 5, "bytesSent": 0,
            "bytesPersisted": 0, "resumed": 0, "retried": 0,
            "requestId": answer.header("x-request-id"), "result": answer.json(),
        })
    );
}

#[test]
fn a_form_is_one_upload_with_all_of_its_files_in_the_result() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    let file = |name| {
        format!("--b\r\nContent-Disposition: form-data; name=f; filename={name}\r\n\r\nx\r\n")
    };
    let body = format!("{}{}--b--\r\n", file("one"), file("two"));
    let length = body.len();
    client.send(&format!(
        "POST /api/upload HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nPrefer: respond-async\r\n\r\n{body}"
    ));
    let answer = client.receive();
    assert_eq!(answer.status, 201, "whoever sends a file stays until it is sent");
    let uploads = server.ask("GET /api/uploads").json();
    let [upload] = &uploads["finished"].as_array().unwrap()[..] else { panic!("{uploads}") };
    assert_eq!((&upload["name"], &upload["size"]), (&json!("in box/two"), &json!(null)));
    assert_eq!(upload["result"], answer.json());
    assert_eq!(upload["result"]["uploads"].as_array().unwrap().len(), 2);
}

#[test]
fn of_a_thousand_uploads_the_last_hundred_are_remembered() {
    let server = run(Plan::Store);
    let first = post_async(&server, "/api/upload-random?size=1");
    let location = first.header("location").to_owned();
    assert_eq!(ended(&server, &location)["state"], "stored");
    let mut client = server.connect();
    let ids = (0..1000).map(|_| {
        let reply = client.ask("POST /api/upload-random?size=1");
        Value::from(reply.header("x-request-id"))
    });
    let latest = ids.collect::<Vec<_>>().into_iter().rev().take(100).collect::<Vec<_>>();
    let uploads = server.ask("GET /api/uploads").json();
    let finished = uploads["finished"].as_array().unwrap().iter();
    assert_eq!(finished.map(|upload| upload["requestId"].clone()).collect::<Vec<_>>(), latest);
    let id = location.strip_prefix("/api/uploads/").unwrap();
    server.ask(&format!("GET {location}")).assert_problem(json!({
        "type": "unknown-upload", "title": "Upload not found", "status": 404,
        "detail": format!(
            "Upload {id} is neither running here nor among the last 100 that finished. A result is kept \
             until 100 later uploads have finished, by the instance that accepted the upload, while it \
             runs."
        ),
        "remembered": 100,
    }));
}

#[test]
fn a_client_that_will_not_wait_is_told_where_to_look() {
    let server = run(Plan::StoreWhenReleased);
    let taken = post_async(&server, "/api/upload-random?size=300KiB");
    assert_eq!(taken.status, 202);
    assert_eq!(taken.header("preference-applied"), "respond-async");
    assert_eq!(taken.header("content-type"), "application/json");
    let location = taken.header("location").to_owned();
    let upload = taken.json();
    assert_eq!(location, format!("/api/uploads/{}", upload["id"].as_str().unwrap()));
    assert_eq!(
        settled(upload),
        json!({
            "state": "queued", "size": 307_200, "bytesSent": 0, "bytesPersisted": 0, "resumed": 0,
            "retried": 0, "requestId": taken.header("x-request-id"),
        })
    );

    let object = server.began.recv_timeout(TIMEOUT).unwrap();
    let running = server.ask(&format!("GET {location}"));
    assert_eq!(running.status, 200);
    assert_eq!(running.json()["state"], "running");
    assert_eq!(running.json()["name"], object.name);
    assert_eq!(object.metadata["request-id"], taken.header("x-request-id"));

    server.release.send(()).unwrap();
    let stored = ended(&server, &location);
    let result = &stored["result"];
    let name = &object.name;
    assert_eq!(
        *result,
        json!({
            "bucket": "bucket", "name": name, "size": 307_200, "crc32c": result["crc32c"],
            "generation": "1700000000000001", "contentType": "application/octet-stream",
            "uri": format!("gs://bucket/{name}"), "seed": object.metadata["seed"],
            "requestId": taken.header("x-request-id"), "resumed": 0, "retried": 0,
            "bytesSent": 307_200, "durationSeconds": 1.5,
        }),
        "what is answered with 201"
    );
    assert_eq!(
        settled(stored.clone()),
        json!({
            "state": "stored", "name": name, "size": 307_200, "bytesSent": 0,
            "bytesPersisted": 0, "resumed": 0, "retried": 0,
            "requestId": taken.header("x-request-id"), "result": result,
        })
    );
    let listed = server.ask("GET /api/uploads").json();
    assert_eq!(listed["finished"], json!([stored]));
}

#[test]
fn a_client_that_will_not_wait_finds_the_problem_there() {
    let server = run(Plan::Fail(ErrorKind::TimedOut));
    let taken = post_async(&server, "/api/upload-random");
    let failed = ended(&server, taken.header("location"));
    assert_eq!(failed["state"], "failed");
    assert_eq!(failed["problem"]["type"], "urn:gcs-uploader:problem:storage-timed-out");
    assert_eq!(failed["problem"]["requestId"], taken.header("x-request-id"));
}

#[test]
fn a_client_that_will_not_wait_is_refused_like_others() {
    let full = |config: &mut Config| (config.workers, config.queue_depth) = (NonZeroUsize::MIN, 1);
    let server = Setup::new(Plan::StoreWhenReleased).with(full).run();
    let mut running = server.begin_upload();
    assert_eq!(post_async(&server, "/api/upload-random").status, 202);
    let refused = post_async(&server, "/api/upload-random");
    refused.assert_problem(json!({
        "type": "queue-full", "title": "Upload queue is full", "status": 503,
        "detail": "Upload queue is full (1 running, 1 queued).",
    }));
    assert_eq!(refused.header("retry-after"), "2");
    assert_eq!(refused.header("preference-applied"), "");
    assert_eq!(post_async(&server, "/api/upload-random?size=no").status, 400);
    let in_flight = server.ask("GET /api/uploads").json()["inFlight"].clone();
    assert_eq!(in_flight.as_array().unwrap().len(), 2);

    server.stop();
    server.wait_for("/api/ready", |reply| reply.status == 503);
    assert_eq!(post_async(&server, "/api/upload-random").status, 503);
    (0..2).for_each(|_| server.release.send(()).unwrap());
    assert_eq!(running.receive().status, 201);
    server.end().unwrap();
}

#[test]
fn a_drain_waits_for_uploads_whose_clients_do_not() {
    let server = run(Plan::StoreWhenReleased);
    let taken = post_async(&server, "/api/upload-random");
    server.began.recv_timeout(TIMEOUT).unwrap();
    server.stop();
    server.wait_for("/api/ready", |reply| reply.status == 503);
    let location = taken.header("location");
    let running = server.ask(&format!("GET {location}")).json();
    assert_eq!(running["state"], "running");
    assert!(!server.thread.is_finished());
    server.release.send(()).unwrap();
    server.end().unwrap();
}

#[test]
fn what_is_still_waiting_late_in_a_drain_is_said_to_be_refused() {
    let hurried = |config: &mut Config| {
        config.workers = NonZeroUsize::MIN;
        config.drain_timeout = Duration::from_millis(400);
    };
    let server = Setup::new(Plan::StoreWhenReleased).with(hurried).run();
    let mut running = server.begin_upload();
    let mut waiting = server.connect();
    waiting.send(&request("POST /api/upload-random"));
    server.wait_for_metric("gcs_uploader_queue_depth 1");
    server.stop();
    let refused = waiting.receive();
    assert_eq!(refused.json()["type"], "urn:gcs-uploader:problem:draining");
    assert_eq!(running.receive().json()["type"], "urn:gcs-uploader:problem:interrupted");
    server.end().unwrap();
}

#[test]
fn any_other_preference_changes_nothing() {
    let server = run(Plan::Store);
    let mut client = server.connect();
    for prefer in ["return=minimal", "wait=10", "respond-async=never", "\"respond-async\""] {
        let request =
            format!("POST /api/upload-random HTTP/1.1\r\nHost: t\r\nPrefer: {prefer}\r\n\r\n");
        client.send(&request);
        let reply = client.receive();
        assert_eq!((reply.status, reply.header("preference-applied")), (201, ""), "{prefer}");
    }
}

#[test]
fn head_and_other_methods_are_as_everywhere() {
    let server = run(Plan::Store);
    let taken = post_async(&server, "/api/upload-random");
    let location = taken.header("location").to_owned();
    ended(&server, &location);
    let mut client = server.connect();
    for target in ["/api/uploads", &location] {
        let get = client.ask(&format!("GET {target}"));
        let head = client.ask(&format!("HEAD {target}"));
        assert_eq!((get.status, head.status), (200, 200));
        assert_eq!(head.header("content-length"), get.header("content-length"));
        let reply = client.ask(&format!("DELETE {target}"));
        assert_eq!((reply.status, reply.header("allow")), (405, "GET, HEAD"));
    }
}

#[test]
fn what_is_no_id_is_no_path() {
    let server = run(Plan::Store);
    for id in ["", "1", "00000000000000000000000000000000/", "../health", &"g".repeat(32)] {
        let reply = server.ask(&format!("GET /api/uploads/{id}"));
        assert_eq!(reply.json()["type"], "urn:gcs-uploader:problem:not-found", "{id}");
    }
    let reply = server.ask(&format!("GET /api/uploads/{}", "0".repeat(32)));
    assert_eq!(reply.json()["type"], "urn:gcs-uploader:problem:unknown-upload");
}

#[test]
fn paths_with_an_id_are_one_label() {
    let server = run(Plan::Store);
    server.ask(&format!("GET /api/uploads/{}", "0".repeat(32)));
    server.ask("GET /api/uploads/0");
    for line in [
        r#"gcs_uploader_http_requests_total{route="/api/uploads/{id}",method="GET",status="404"} 1"#,
        r#"gcs_uploader_http_requests_total{route="other",method="GET",status="404"} 1"#,
    ] {
        server.wait_for_metric(line);
    }
}
