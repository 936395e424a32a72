//! `GET /api/openapi.json`: the description of the API for programs (OpenAPI 3.1).
//!
//! `openapi.json` describes each operation: its purpose, parameters, success and own problems. From
//! that and from the problem types, the document is made when a server starts, for its settings.
//! `tests::openapi` keeps both in agreement.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::server::config::Config;
use crate::server::problem::{self, ProblemType};

const TEMPLATE: &str = include_str!("openapi.json");

/// Problems of any request: at the connection limit, of an invalid request, and of an internal error.
pub(crate) const COMMON_PROBLEMS: [&ProblemType; 12] = [
    &problem::MALFORMED_REQUEST,
    &problem::AMBIGUOUS_BODY,
    &problem::REQUEST_TIMEOUT,
    &problem::CHUNKED_BODY,
    &problem::BODY_TOO_LARGE,
    &problem::TARGET_TOO_LONG,
    &problem::EXPECTATION_FAILED,
    &problem::HEAD_TOO_LARGE,
    &problem::INTERNAL,
    &problem::TRANSFER_CODING,
    &problem::TOO_MANY_CONNECTIONS,
    &problem::HTTP_VERSION,
];

/// Problems of operations that take no body.
pub(crate) const BODYLESS_PROBLEMS: [&ProblemType; 2] =
    [&problem::CHUNKED_BODY, &problem::BODY_TOO_LARGE];

/// Problems of servers that require tokens.
const AUTH_PROBLEMS: [&ProblemType; 3] =
    [&problem::BAD_AUTHORIZATION, &problem::UNAUTHORIZED, &problem::FORBIDDEN];

/// Returns the document of a server with these settings.
pub(crate) fn document(config: &Config) -> Vec<u8> {
    serde_json::to_vec(&describe(config)).unwrap_or_default()
}

pub(crate) fn describe(config: &Config) -> Value {
    // The template is part of the program, and tests parse it.
    let mut api: Value = serde_json::from_str(TEMPLATE).unwrap_or_default();
    api["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    let components = &mut api["components"];
    components["schemas"]["ProblemType"]["oneOf"] = problem::ALL.iter().map(named).collect();
    components["parameters"]["size"]["schema"]["default"] = config.upload_size.to_string().into();
    if let Some(paths) = api["paths"].as_object_mut() {
        if config.metrics_listen.is_some() {
            paths.remove("/metrics");
        }
        paths.values_mut().filter_map(Value::as_object_mut).for_each(|path| complete(path, config));
    }
    api
}

fn named(kind: &ProblemType) -> Value {
    json!({"const": kind.uri(), "title": kind.title, "description": kind.status.to_string()})
}

/// Adds the common parameters to a path, their problems to its operations, and HEAD where there is
/// GET.
fn complete(path: &mut Map<String, Value>, config: &Config) {
    path.values_mut()
        .filter_map(Value::as_object_mut)
        .for_each(|operation| add_problems(operation, config));
    if let Some(get) = path.get("get") {
        let head = without_content(get.clone());
        path.insert("head".to_owned(), head);
    }
    let header = |name| json!({"$ref": format!("#/components/parameters/{name}")});
    let common = json!([header("X-Request-Id"), header("User-Agent")]);
    path.insert("parameters".to_owned(), common);
}

fn add_problems(operation: &mut Map<String, Value>, config: &Config) {
    let own = operation.remove("problems").unwrap_or_default();
    let is_own =
        |kind: &ProblemType| own.as_array().is_some_and(|own| own.contains(&kind.slug.into()));
    let has = |list: &[&ProblemType], kind: &ProblemType| {
        list.iter().any(|listed| listed.slug == kind.slug)
    };
    let takes_body = operation.contains_key("requestBody");
    let open = config.auth.is_open();
    if open {
        operation.remove("security");
    }
    let mut by_status = BTreeMap::<u16, Vec<&ProblemType>>::new();
    problem::ALL
        .iter()
        .filter(|kind| is_own(kind) || has(&COMMON_PROBLEMS, kind))
        .filter(|kind| !(open && has(&AUTH_PROBLEMS, kind)))
        .filter(|kind| !(takes_body && has(&BODYLESS_PROBLEMS, kind)))
        .for_each(|kind| by_status.entry(kind.status).or_default().push(kind));
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    for (status, kinds) in by_status {
        responses[status.to_string()] = response(status, &kinds);
    }
}

/// Returns the response with this status, which is one of these problems.
fn response(status: u16, kinds: &[&ProblemType]) -> Value {
    let titles: Vec<_> = kinds.iter().map(|kind| kind.title).collect();
    let types: Vec<_> = kinds.iter().map(|kind| kind.uri()).collect();
    let mut headers = vec!["X-Request-Id"];
    match status {
        400 | 401 | 403 => headers.push("WWW-Authenticate"),
        415 => headers.push("Accept-Encoding"),
        503 => headers.push("Retry-After"),
        _ => {}
    }
    let header =
        |name: &&str| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    json!({
        "description": titles.join("; ") + ".",
        "headers": headers.iter().map(header).collect::<Map<_, _>>(),
        "content": {"application/problem+json": {"schema": {
            "allOf": [{"$ref": "#/components/schemas/Problem"}],
            "properties": {"type": {"enum": types}, "status": {"const": status}},
        }}},
    })
}

/// Returns the same operation for HEAD.
fn without_content(mut operation: Value) -> Value {
    operation["operationId"] = format!("{}Head", text(&operation["operationId"])).into();
    operation["summary"] =
        format!("{}, without the response's body", text(&operation["summary"])).into();
    if let Some(responses) = operation["responses"].as_object_mut() {
        for response in responses.values_mut().filter_map(Value::as_object_mut) {
            response.remove("content");
        }
    }
    operation
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
