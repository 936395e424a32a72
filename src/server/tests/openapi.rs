//! The API's description and the server, held to each other: what is described can be had, and
//! what can be had is described.

use std::collections::BTreeSet;
use std::io::Write as _;

use super::*;
use crate::server::api::handlers::FORWARDED_HEADERS;
use crate::server::api::openapi::{BODYLESS_PROBLEMS, COMMON_PROBLEMS, describe};
use crate::server::auth::Fingerprint;
use crate::server::problem;
use crate::server::router::RouteSet;
use crate::server::uploads::query;

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"];

/// An answer that an operation may give: its status, and the last part of a problem's type.
type Outcome = (u16, Option<String>);

/// A path and a method, with what is said of them.
struct Operation {
    path: String,
    method: String,
    said: Value,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// All answers that are described, problems by their type.
    fn outcomes(&self) -> BTreeSet<Outcome> {
        let responses = self.said["responses"].as_object().unwrap();
        let outcomes = responses.iter().flat_map(|(status, response)| {
            let status = status.parse().unwrap();
            let types = &response["content"]["application/problem+json"]["schema"]["properties"];
            match types["type"]["enum"].as_array() {
                None => vec![(status, None)],
                Some(types) => types.iter().map(|uri| (status, Some(slug(uri)))).collect(),
            }
        });
        outcomes.collect()
    }
}

/// The path with something in its parameters.
fn filled(path: &str) -> String {
    path.replace("{name}", "2026/a.txt").replace("{id}", &"0".repeat(32))
}

fn slug(uri: &Value) -> String {
    uri.as_str().unwrap().rsplit(':').next().unwrap().to_owned()
}

/// All that is described of a server that asks for tokens.
fn described() -> Value {
    describe(&with_tokens(&token_file()))
}

fn operations(api: &Value) -> Vec<Operation> {
    let paths = api["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
        methods.map(|(method, said)| Operation {
            path: path.clone(),
            method: method.to_ascii_uppercase(),
            said: said.clone(),
        })
    });
    operations.collect()
}

/// Knows the tokens `good`, which may upload, and `bad`, which may not.
fn token_file() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{} ci", Fingerprint::of("good")).unwrap();
    writeln!(file, "{} old nothing", Fingerprint::of("bad")).unwrap();
    file
}

fn with_tokens(file: &tempfile::NamedTempFile) -> Config {
    Config { auth: Authenticator::by_file(file.path()).unwrap(), ..config() }
}

fn outcome(reply: &Reply) -> Outcome {
    let problem = reply.header("content-type") == "application/problem+json";
    (reply.status, problem.then(|| slug(&reply.json()["type"])))
}

/// The answer to a request with a head of these lines, on a connection of its own.
fn answer(server: &Running, method: &str, target: &str, version: &str, lines: &str) -> Outcome {
    let mut client = server.connect();
    client.send(&format!("{method} {target} {version}\r\n{lines}\r\n\r\n"));
    let head = client.head();
    // Where the gate has refused, HEAD as well has the reason with it.
    match method == "HEAD" && !head.says_close() {
        true => (head.status, None),
        false => outcome(&client.with_body(head)),
    }
}

#[test]
fn every_path_and_method_is_described_and_no_other() {
    let (api, server) = (described(), run(Plan::Store));
    let listed: BTreeSet<_> = RouteSet::All.paths().into_iter().map(str::to_owned).collect();
    let paths: BTreeSet<_> = api["paths"].as_object().unwrap().keys().cloned().collect();
    // The same as the one before it, with the name elsewhere: not worth a word where paths are listed.
    let named = BTreeSet::from(["/api/upload/{name}".to_owned()]);
    assert_eq!(&listed | &named, paths);
    for path in paths {
        for method in METHODS {
            let reply = server.ask(&format!("{method} {}", filled(&path)));
            let said = &api["paths"][&path][method.to_ascii_lowercase()];
            assert_eq!(reply.status == 405, said.is_null(), "{method} {path}: {reply:?}");
            let listed = reply.header("allow").split(", ").any(|allowed| allowed == method);
            assert!(reply.status != 405 || !listed, "{method} {path}: {reply:?}");
        }
    }
}

#[test]
fn every_kind_of_problem_is_described_and_no_other() {
    let api = described();
    let slugs =
        |uris: &Value| -> BTreeSet<String> { uris.as_array().unwrap().iter().map(slug).collect() };
    let kinds: BTreeSet<_> = problem::ALL.iter().map(|kind| kind.slug.to_owned()).collect();
    let types = &api["components"]["schemas"]["ProblemType"]["oneOf"];
    let types: Value = types.as_array().unwrap().iter().map(|kind| kind["const"].clone()).collect();
    assert_eq!(slugs(&types), kinds, "in the list");

    // What is at no operation.
    let mut answered = BTreeSet::from(["not-found".to_owned(), "method-not-allowed".to_owned()]);
    answered.extend(operations(&api).iter().flat_map(Operation::outcomes).filter_map(|o| o.1));
    assert_eq!(answered, kinds, "at the operations");
}

#[test]
fn an_operations_own_problems_are_kinds_of_problems() {
    let outline: Value = serde_json::from_str(include_str!("../api/openapi.json")).unwrap();
    let known: BTreeSet<_> = problem::ALL.iter().map(|kind| kind.slug).collect();
    for operation in operations(&outline) {
        for own in operation.said["problems"].as_array().into_iter().flatten() {
            assert!(known.contains(own.as_str().unwrap()), "{}: {own}", operation.name());
        }
    }
}

#[test]
fn every_header_that_is_asked_for_is_described_and_no_other() {
    let api = described();
    let parameters = api["components"]["parameters"].as_object().unwrap().values();
    let headers = parameters.filter(|parameter| parameter["in"] == "header");
    let mut described: BTreeSet<_> =
        headers.map(|header| header["name"].as_str().unwrap().to_owned()).collect();
    if api["components"]["securitySchemes"]["token"]["scheme"] == "bearer" {
        described.insert("Authorization".to_owned());
    }
    // A body's own, of which OpenAPI has no parameter.
    let upload = &api["paths"]["/api/upload"]["put"];
    assert!(upload["requestBody"].is_object());
    described.insert("Content-Type".to_owned());
    // Refused, but for a value that says nothing.
    for refused in ["Content-Encoding", "Content-Range"] {
        assert!(upload["description"].as_str().unwrap().contains(refused));
        described.insert(refused.to_owned());
    }
    assert_eq!(described, FORWARDED_HEADERS.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn every_part_that_is_defined_is_referred_to_and_the_reverse() {
    let text = described().to_string();
    for (kind, parts) in described()["components"].as_object().unwrap() {
        for name in parts.as_object().unwrap().keys() {
            let reference = format!("\"$ref\":\"#/components/{kind}/{name}\"");
            let used = kind == "securitySchemes" || text.contains(&reference);
            assert!(used, "{kind}/{name} is used nowhere");
        }
    }
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(described().pointer(pointer).is_some(), "{pointer} is not there");
    }
}

#[test]
fn an_upload_takes_the_parameters_that_are_described_and_no_other() {
    let (api, server) = (described(), run(Plan::Store));
    for example in api["components"]["parameters"]["size"]["examples"].as_object().unwrap().values()
    {
        let size = example["value"].as_str().unwrap();
        assert_eq!(server.ask(&format!("POST /api/upload-random?size={size}")).status, 201);
    }
    let described = |path: &str, method: &str| -> BTreeSet<String> {
        let parameters = api["paths"][path][method]["parameters"].as_array().unwrap().iter();
        let parameters = parameters.map(|reference| {
            let pointer = reference["$ref"].as_str().unwrap().trim_start_matches('#');
            api.pointer(pointer).unwrap()
        });
        let in_query = parameters.filter(|parameter| parameter["in"] == "query");
        in_query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
    };
    for (method, path, known) in [
        ("post", "/api/upload-random", &query::RANDOM_PARAMETERS[..]),
        ("put", "/api/upload", &query::FILE_PARAMETERS),
        ("post", "/api/upload", &query::FILE_PARAMETERS),
        ("put", "/api/upload/{name}", &query::FILE_PARAMETERS),
        ("post", "/api/upload/{name}", &query::FILE_PARAMETERS),
    ] {
        let known = known.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(described(path, method), known, "{method} {path}");
    }
}

#[test]
fn an_answer_has_the_members_that_are_described_and_no_other() {
    let (api, server) = (described(), run(Plan::Store));
    let members = |schema: &str| -> BTreeSet<String> {
        let schema = &api["components"]["schemas"][schema]["properties"];
        schema.as_object().unwrap().keys().cloned().collect()
    };
    let has = |reply: &Reply| -> BTreeSet<String> {
        reply.json().as_object().unwrap().keys().cloned().collect()
    };
    let created = server.ask("POST /api/upload-random");
    assert_eq!(has(&created), &members("Stored") | &members("Created"));
    assert_eq!(has(&whole(&server, "PUT /api/upload", "", "x")), members("Stored"));
    assert_eq!(has(&whole(&server, "POST /api/upload", FORM, ONE_FILE)), members("StoredFiles"));
    let second_fails = ONE_FILE.replace(
        "--b--",
        "--b\r\nContent-Disposition: form-data; \
        filename=c\r\nContent-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==\r\n\r\nx\r\n--b--",
    );
    let problems = [
        run(Plan::Fail(ErrorKind::Refused)).ask("POST /api/upload-random"),
        server.ask("POST /api/upload-random?size=1PB"),
        server.ask("POST /api/upload-random?size=1TiB"),
        whole(&server, "POST /api/upload", FORM, &second_fails),
        server.ask(&format!("GET /api/uploads/{}", "0".repeat(32))),
    ];
    assert_eq!(problems.iter().flat_map(has).collect::<BTreeSet<_>>(), members("Problem"));
}

#[test]
fn an_upload_is_shown_with_the_members_that_are_described_and_no_other() {
    let (api, file) = (described(), token_file());
    let members = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let schemas = &api["components"]["schemas"];
    let server = Setup { config: with_tokens(&file), ..Setup::new(Plan::Store) }.run();
    let good = "Authorization: Bearer good\r\n";
    assert_eq!(whole(&server, "POST /api/upload-random", good, "").status, 201);
    let seen = whole(&server, "GET /api/uploads", good, "").json();
    assert_eq!(members(&seen), members(&schemas["Uploads"]["properties"]));
    for part in ["server", "throughput"] {
        let said = &schemas["Uploads"]["properties"][part]["properties"];
        assert_eq!(members(&seen[part]), members(said), "{part}");
    }
    let failing = run(Plan::Fail(ErrorKind::Refused));
    assert_eq!(failing.ask("POST /api/upload-random").status, 502);
    let failed = failing.ask("GET /api/uploads").json();
    let had = &members(&seen["finished"][0]) | &members(&failed["finished"][0]);
    assert_eq!(had, members(&schemas["Upload"]["properties"]));
}

const FORM: &str = "Content-Type: multipart/form-data; boundary=b\r\n";

const ONE_FILE: &str =
    "--b\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\nx\r\n--b--\r\n";

/// The answer to a request with a whole body, and these header lines.
fn whole(server: &Running, method_and_target: &str, lines: &str, body: &str) -> Reply {
    let mut client = server.connect();
    let length = body.len();
    client.send(&format!(
        "{method_and_target} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
    ));
    client.receive()
}

#[test]
fn it_is_what_the_server_answers_as_it_is_set() {
    let server = run(Plan::Store);
    let reply = server.ask("GET /api/openapi.json");
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    let api = reply.json();
    assert_eq!(api, describe(&config()));
    assert_eq!(api["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(api["components"]["parameters"]["size"]["schema"]["default"], "1MiB");
    let upload = &api["paths"]["/api/upload-random"]["post"];
    assert!(upload["security"].is_null() && upload["responses"]["401"].is_null());

    let upload = &described()["paths"]["/api/upload-random"]["post"];
    assert!(upload["security"].is_array() && upload["responses"]["401"].is_object());
    let metrics_listen = Some("127.0.0.1:0".parse().unwrap());
    let elsewhere = describe(&Config { metrics_listen, ..config() });
    assert!(elsewhere["paths"]["/metrics"].is_null());
    assert!(described()["paths"]["/metrics"].is_object());
}

#[test]
fn what_any_request_may_get_every_operation_gets() {
    let mut setup = Setup::new(Plan::Store);
    setup.limits.request_timeout = Duration::from_millis(200);
    setup.limits.body_stall_timeout = Duration::from_millis(200);
    let server = setup.run();
    let one = |config: &mut Config| config.max_connections = NonZeroUsize::MIN;
    let full = Setup::new(Plan::StoreWhenReleased).with(one).run();
    let mut running = full.begin_upload();
    let many = format!("Host: t\r\n{}A: b", "A: b\r\n".repeat(100));
    for operation in operations(&described()) {
        let takes_body = operation.said["requestBody"].is_object();
        let (method, path) = (operation.method.as_str(), filled(&operation.path));
        let long = format!("{path}?{}", "a".repeat(9000));
        let ask = |target: &str, version: &str, lines: &str| {
            answer(&server, method, target, version, lines)
        };
        let mut had = BTreeSet::from([
            ask(&path, "HTTP/1.1", "A: b"),
            ask(&path, "HTTP/1.1", "Host: t\r\nContent-Length: x"),
            ask(&path, "HTTP/1.1", "Host: t\r\nContent-Length: 9\r\n"),
            ask(&long, "HTTP/1.1", "Host: t"),
            ask(&path, "HTTP/1.1", "Host: t\r\nContent-Length: 1\r\nExpect: more"),
            ask(&path, "HTTP/1.1", &many),
            ask(&path, "HTTP/1.1", "Host: t\r\nTransfer-Encoding: gzip"),
            ask(&path, "HTTP/2.0", "Host: t"),
            outcome(&full.connect().receive()),
        ]);
        if !takes_body {
            had.insert(ask(&path, "HTTP/1.1", "Host: t\r\nTransfer-Encoding: chunked"));
            had.insert(ask(&path, "HTTP/1.1", "Host: t\r\nContent-Length: 65537"));
        }
        // Of the server's own making: `what_an_upload_may_get_it_gets` has one.
        had.insert((500, Some("internal".to_owned())));
        let everywhere = COMMON_PROBLEMS.iter().filter(|kind| {
            !takes_body || BODYLESS_PROBLEMS.iter().all(|other| other.slug != kind.slug)
        });
        let described = everywhere.map(|kind| (kind.status, Some(kind.slug.to_owned())));
        let described: BTreeSet<_> = described.collect();
        assert_eq!(had, described, "{}", operation.name());
        // HEAD is described without bodies, and so without types.
        let said = described.is_subset(&operation.outcomes()) || method == "HEAD";
        assert!(said, "{}", operation.name());
    }
    full.release.send(()).unwrap();
    assert_eq!(running.receive().status, 201);
}

#[test]
fn what_an_operation_that_only_tells_something_may_get_it_gets() {
    let ready = run(Plan::Store);
    let not_ready = Setup { ready: Err("no token".to_owned()), ..Setup::new(Plan::Store) }.run();
    let open = operations(&described()).into_iter().filter(|o| o.said["security"].is_null());
    let open: Vec<Operation> = open.collect();
    for operation in open.iter().filter(|o| o.method == "GET") {
        let had = [&ready, &not_ready].map(|server| outcome(&server.ask(&operation.name())));
        assert_eq!(BTreeSet::from(had), own(operation), "{}", operation.name());
    }
    for operation in open.iter().filter(|o| o.method == "HEAD") {
        let had = [&ready, &not_ready].map(|server| server.ask(&operation.name()).status);
        let described = operation.outcomes().into_iter().map(|(status, _)| status);
        let elsewhere = |status: &u16| COMMON_PROBLEMS.iter().all(|kind| kind.status != *status);
        let described: BTreeSet<_> = described.filter(elsewhere).collect();
        let is_503 = |status: &u16| *status != 503;
        assert_eq!(had.into_iter().filter(is_503).collect::<BTreeSet<_>>(), described);
    }
}

#[test]
fn what_looking_at_uploads_may_get_it_gets() {
    let file = token_file();
    let server = Setup { config: with_tokens(&file), ..Setup::new(Plan::Store) }.run();
    let good = "Host: t\r\nAuthorization: Bearer good";
    let mut client = server.connect();
    let lines = format!("{good}\r\nPrefer: respond-async");
    client.send(&format!("POST /api/upload-random HTTP/1.1\r\n{lines}\r\n\r\n"));
    let id = client.receive().json()["id"].as_str().unwrap().to_owned();
    let ask = |path: &str, lines: &str| answer(&server, "GET", path, "HTTP/1.1", lines);
    let secured = operations(&described()).into_iter().filter(|o| o.said["security"].is_array());
    for operation in secured.filter(|o| o.method == "GET") {
        let path = operation.path.replace("{id}", &id);
        let mut had = BTreeSet::from([
            ask(&path, good),
            ask(&path, "Host: t"),
            ask(&path, "Host: t\r\nAuthorization: Bearer bad"),
            ask(&path, &format!("{good}\r\nAuthorization: Bearer good")),
        ]);
        if path != operation.path {
            had.extend([ask(&filled(&operation.path), good), ask("/api/uploads/none", good)]);
        }
        assert_eq!(had, own(&operation), "{}", operation.name());
    }
}

/// What is described of an operation beyond what any request may get.
fn own(operation: &Operation) -> BTreeSet<Outcome> {
    let everywhere = |slug: &str| COMMON_PROBLEMS.iter().any(|kind| kind.slug == slug);
    let outcomes = operation.outcomes().into_iter();
    outcomes.filter(|(_, slug)| !slug.as_deref().is_some_and(everywhere)).collect()
}

#[test]
fn what_an_upload_may_get_it_gets() {
    let api = described();
    let random = operations(&api).into_iter().find(|o| o.path == "/api/upload-random").unwrap();
    let mut had = BTreeSet::from([(201, None)]);
    had.extend(senseless_orders());
    had.extend(FAILURES.map(|kind| outcome(&run(Plan::Fail(kind)).ask("POST /api/upload-random"))));
    let with_key = "Host: t\r\nIdempotency-Key: k";
    let taken = run(Plan::Fail(ErrorKind::Conflict));
    had.insert(answer(&taken, "POST", "/api/upload-random", "HTTP/1.1", with_key));
    had.insert(outcome(&taken.ask("POST /api/upload-random")));
    had.extend(refused_for_want_of_room("POST /api/upload-random"));
    let not_waiting = "Host: t\r\nPrefer: respond-async";
    had.insert(answer(&run(Plan::Store), "POST", "/api/upload-random", "HTTP/1.1", not_waiting));
    let internal = outcome(&run(Plan::Panic).ask("POST /api/upload-random"));
    assert_eq!(internal, (500, Some("internal".to_owned())));
    assert_eq!(had, own(&random));
}

#[test]
fn what_a_clients_file_may_get_it_gets() {
    for operation in operations(&described()).iter().filter(|o| o.said["requestBody"].is_object()) {
        let target = format!("{} {}", operation.method, filled(&operation.path));
        let mut had = BTreeSet::from([(201, None)]);
        had.extend(senseless_files(&target, &operation.path));
        let fails = FAILURES.into_iter().chain([ErrorKind::Conflict, ErrorKind::Lost]);
        had.extend(fails.map(|kind| outcome(&whole(&run(Plan::Fail(kind)), &target, "", "x"))));
        had.extend(refused_for_want_of_room(&target));
        assert_eq!(had, own(operation), "{}", operation.name());
    }
}

const FAILURES: [ErrorKind; 5] = [
    ErrorKind::Refused,
    ErrorKind::Credentials,
    ErrorKind::Interrupted,
    ErrorKind::TimedOut,
    ErrorKind::Protocol,
];

fn senseless_orders() -> Vec<Outcome> {
    let file = token_file();
    let server = Setup { config: with_tokens(&file), ..Setup::new(Plan::Store) }.run();
    let good = "Host: t\r\nAuthorization: Bearer good";
    let orders = [
        ("?siez=1", good.to_owned()),
        ("?size=1TiB", good.to_owned()),
        ("", "Host: t".to_owned()),
        ("", "Host: t\r\nAuthorization: Bearer bad".to_owned()),
        ("", format!("{good}\r\nAuthorization: Bearer good")),
        ("", format!("{good}\r\nIdempotency-Key: a b")),
        ("", good.to_owned()),
    ];
    let ask = |(query, lines): &(&str, String)| {
        answer(&server, "POST", &format!("/api/upload-random{query}"), "HTTP/1.1", lines)
    };
    orders.iter().map(ask).collect()
}

fn senseless_files(target: &str, path: &str) -> Vec<Outcome> {
    let file = token_file();
    let server = Setup { config: with_tokens(&file), ..Setup::new(Plan::Store) }.run();
    let good = |lines: &str| format!("Authorization: Bearer good\r\n{lines}");
    let bad_name = match path.ends_with("{name}") {
        true => target.replace("2026/", "../"),
        false => format!("{target}?name=.."),
    };
    let mut had: Vec<Outcome> = [
        (format!("{target}?siez=1"), good("")),
        (target.to_owned(), String::new()),
        (target.to_owned(), "Authorization: Bearer bad\r\n".to_owned()),
        (target.to_owned(), good(&good(""))),
        (target.to_owned(), good("Idempotency-Key: k\r\n")),
        (target.to_owned(), good("Content-Type: nonsense\r\n")),
        (target.to_owned(), good("Content-MD5: x\r\n")),
        (target.to_owned(), good("Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==\r\n")),
        (target.to_owned(), good("Content-Range: bytes 0-0/5\r\n")),
        (target.to_owned(), good("Content-Encoding: gzip\r\n")),
        (bad_name, good("")),
    ]
    .iter()
    .map(|(target, lines)| outcome(&whole(&server, target, lines, "x")))
    .collect();
    // Where the name is in the path, nobody looks for another.
    let no_disposition = whole(&server, target, &good("Content-Disposition: a; b\r\n"), "x");
    had.push(outcome(&no_disposition));
    let head = |lines: &str| {
        let mut client = server.connect();
        client.send(&format!("{target} HTTP/1.1\r\nHost: t\r\n{}\r\n", good(lines)));
        client
    };
    had.push(outcome(&head("").receive()));
    had.push(outcome(&head("Content-Length: 30000000000\r\n").receive()));
    let mut senseless = head("Transfer-Encoding: chunked\r\n");
    senseless.send("zz\r\n");
    had.push(outcome(&senseless.receive()));
    let mut gone = head("Content-Length: 2\r\n");
    gone.send("x");
    gone.0.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    had.push(outcome(&gone.receive()));
    had
}

/// A full queue, and a server that drains.
fn refused_for_want_of_room(target: &str) -> Vec<Outcome> {
    let small = |config: &mut Config| {
        config.workers = NonZeroUsize::MIN;
        config.queue_depth = 1;
    };
    let server = Setup::new(Plan::StoreWhenReleased).with(small).run();
    let mut running = server.begin_upload();
    let mut waiting = server.connect();
    waiting.send(&request("POST /api/upload-random"));
    server.wait_for_metric("gcs_uploader_queue_depth 1");
    let full = outcome(&whole(&server, target, "", "x"));
    server.stop();
    server.wait_for("/api/ready", |reply| reply.status == 503);
    let draining = outcome(&whole(&server, target, "", "x"));
    for client in [&mut running, &mut waiting] {
        server.release.send(()).unwrap();
        assert_eq!(client.receive().status, 201);
    }
    server.end().unwrap();
    vec![full, draining]
}
