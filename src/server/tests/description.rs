//! The API's description and the server, held to each other: what is described can be had, and
//! what can be had is described.

use std::collections::BTreeSet;
use std::io::Write as _;

use super::super::access::Fingerprint;
use super::super::description::{EVERYWHERE, describe};
use super::super::head::PASSED_ON;
use super::super::problem;
use super::*;

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
    Config { access: Access::by_file(file.path()).unwrap(), ..config() }
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
    let detail = server.ask("GET /nothing").json()["detail"].as_str().unwrap().to_owned();
    let listed = detail.split("; there is ").nth(1).unwrap().trim_end_matches('.');
    let listed: BTreeSet<_> = listed.split(", ").map(str::to_owned).collect();
    let paths: BTreeSet<_> = api["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(listed, paths);
    for path in paths {
        for method in METHODS {
            let reply = server.ask(&format!("{method} {path}"));
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
    let kinds: BTreeSet<_> = problem::ALL.iter().map(|kind| kind.slug().to_owned()).collect();
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
    let outline: Value = serde_json::from_str(include_str!("../openapi.json")).unwrap();
    let known: BTreeSet<_> = problem::ALL.iter().map(|kind| kind.slug()).collect();
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
    assert_eq!(described, PASSED_ON.iter().map(|name| (*name).to_owned()).collect());
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
    let refused = server.ask("POST /api/upload-random?sizes=1");
    assert_eq!(outcome(&refused), (400, Some("bad-parameter".to_owned())));
}

#[test]
fn an_answer_has_the_members_that_are_described_and_no_other() {
    let (api, server) = (described(), run(Plan::Fail(ErrorKind::Refused)));
    let members = |schema: &str| -> BTreeSet<String> {
        let schema = &api["components"]["schemas"][schema]["properties"];
        schema.as_object().unwrap().keys().cloned().collect()
    };
    let has = |reply: &Reply| -> BTreeSet<String> {
        reply.json().as_object().unwrap().keys().cloned().collect()
    };
    let created = run(Plan::Store).ask("POST /api/upload-random");
    assert_eq!(has(&created), members("Created"));
    let problems = [
        server.ask("POST /api/upload-random"),
        server.ask("POST /api/upload-random?size=1PB"),
        server.ask("POST /api/upload-random?size=1TiB"),
    ];
    assert_eq!(problems.iter().flat_map(has).collect::<BTreeSet<_>>(), members("Problem"));
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
    setup.limits.request = Duration::from_millis(200);
    let server = setup.run();
    let one = |config: &mut Config| config.max_connections = NonZeroUsize::MIN;
    let full = Setup::new(Plan::StoreWhenReleased).with(one).run();
    let mut running = full.begin_upload();
    let many = format!("Host: t\r\n{}A: b", "A: b\r\n".repeat(100));
    for operation in operations(&described()) {
        let (method, path) = (operation.method.as_str(), operation.path.as_str());
        let long = format!("{path}?{}", "a".repeat(9000));
        let ask = |target: &str, version: &str, lines: &str| {
            answer(&server, method, target, version, lines)
        };
        let mut had = BTreeSet::from([
            ask(path, "HTTP/1.1", "A: b"),
            ask(path, "HTTP/1.1", "Host: t\r\nContent-Length: x"),
            ask(path, "HTTP/1.1", "Host: t\r\nContent-Length: 9\r\n"),
            ask(path, "HTTP/1.1", "Host: t\r\nTransfer-Encoding: chunked"),
            ask(path, "HTTP/1.1", "Host: t\r\nContent-Length: 65537"),
            ask(&long, "HTTP/1.1", "Host: t"),
            ask(path, "HTTP/1.1", "Host: t\r\nContent-Length: 1\r\nExpect: 100-continue"),
            ask(path, "HTTP/1.1", &many),
            ask(path, "HTTP/1.1", "Host: t\r\nTransfer-Encoding: gzip"),
            ask(path, "HTTP/2.0", "Host: t"),
            outcome(&full.connect().receive()),
        ]);
        // Of the server's own making: `what_an_upload_may_get_it_gets` has one.
        had.insert((500, Some("internal".to_owned())));
        let described = EVERYWHERE.iter().map(|kind| (kind.status(), Some(kind.slug().to_owned())));
        assert_eq!(had, described.collect(), "{}", operation.name());
    }
    full.release.send(()).unwrap();
    assert_eq!(running.receive().status, 201);
}

#[test]
fn what_an_operation_that_only_tells_something_may_get_it_gets() {
    let ready = run(Plan::Store);
    let not_ready = Setup { ready: Err("no token".to_owned()), ..Setup::new(Plan::Store) }.run();
    for operation in operations(&described()).iter().filter(|o| o.method == "GET") {
        let had = [&ready, &not_ready].map(|server| outcome(&server.ask(&operation.name())));
        assert_eq!(BTreeSet::from(had), own(operation), "{}", operation.name());
    }
    for operation in operations(&described()).iter().filter(|o| o.method == "HEAD") {
        let had = [&ready, &not_ready].map(|server| server.ask(&operation.name()).status);
        let described = operation.outcomes().into_iter().map(|(status, _)| status);
        let elsewhere = |status: &u16| EVERYWHERE.iter().all(|kind| kind.status() != *status);
        let described: BTreeSet<_> = described.filter(elsewhere).collect();
        let is_503 = |status: &u16| *status != 503;
        assert_eq!(had.into_iter().filter(is_503).collect::<BTreeSet<_>>(), described);
    }
}

/// What is described of an operation beyond what any request may get.
fn own(operation: &Operation) -> BTreeSet<Outcome> {
    let everywhere = |slug: &str| EVERYWHERE.iter().any(|kind| kind.slug() == slug);
    let outcomes = operation.outcomes().into_iter();
    outcomes.filter(|(_, slug)| !slug.as_deref().is_some_and(everywhere)).collect()
}

#[test]
fn what_an_upload_may_get_it_gets() {
    let api = described();
    let upload = operations(&api).into_iter().find(|o| o.path == "/api/upload-random").unwrap();
    let mut had = BTreeSet::from([(201, None)]);
    had.extend(senseless_orders());
    had.extend(failed_uploads());
    had.extend(refused_for_want_of_room());
    let internal = outcome(&run(Plan::Panic).ask("POST /api/upload-random"));
    assert_eq!(internal, (500, Some("internal".to_owned())));
    assert_eq!(had, own(&upload));
}

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

fn failed_uploads() -> Vec<Outcome> {
    let kinds = [
        ErrorKind::Refused,
        ErrorKind::Conflict,
        ErrorKind::Credentials,
        ErrorKind::Interrupted,
        ErrorKind::TimedOut,
        ErrorKind::Protocol,
        ErrorKind::Lost,
    ];
    let fail = |(kind, lines): (ErrorKind, &str)| {
        answer(&run(Plan::Fail(kind)), "POST", "/api/upload-random", "HTTP/1.1", lines)
    };
    let with_key = (ErrorKind::Conflict, "Host: t\r\nIdempotency-Key: k");
    kinds.map(|kind| (kind, "Host: t")).into_iter().chain([with_key]).map(fail).collect()
}

fn refused_for_want_of_room() -> Vec<Outcome> {
    let small = |config: &mut Config| {
        config.workers = NonZeroUsize::MIN;
        config.queue_depth = 0;
    };
    let server = Setup::new(Plan::StoreWhenReleased).with(small).run();
    // With no place to wait, it is taken only once a worker has come.
    let mut running = loop {
        let mut client = server.connect();
        client.send(&request("POST /api/upload-random"));
        match server.began.recv_timeout(Duration::from_millis(100)) {
            Ok(_) => break client,
            Err(_) => assert_eq!(client.receive().status, 503),
        }
    };
    let full = outcome(&server.ask("POST /api/upload-random"));
    server.stop();
    server.wait_for("/api/ready", |reply| reply.status == 503);
    let draining = outcome(&server.ask("POST /api/upload-random"));
    server.release.send(()).unwrap();
    assert_eq!(running.receive().status, 201);
    server.end().unwrap();
    vec![full, draining]
}
