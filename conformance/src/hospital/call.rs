//! One request to the hospital, free of HTTP framing, and its reply.
//!
//! A request over the network and an entry of a batch become the same [`Call`], so both are answered by the
//! same code.

use http::{Method, StatusCode};
use jiff::Timestamp;

use super::outcome::Refusal;
use super::read;
use super::resource_types;
use super::search::{Scene, Search};
use super::store::{Store, Version, is_id};
use super::{bundle, capability, write};

/// A request below the server's base URL.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    /// The method; `HEAD` arrives as `GET`.
    pub(super) method: Method,
    /// The segments of the path, decoded.
    pub(super) path: Vec<String>,
    /// The pairs of the query, and for a POST search those of the form too.
    pub(super) query: Vec<(String, String)>,
    pub(super) conditions: Conditions,
    pub(super) body: &'a [u8],
    /// The id that a transaction has found or reserved for a create or a conditional update.
    pub(super) reserved: Option<String>,
}

/// What a request makes its effect or its answer depend on.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    pub(super) if_match: Option<String>,
    pub(super) if_none_match: Option<String>,
    pub(super) if_none_exist: Option<String>,
    pub(super) wanted: Wanted,
}

/// `Prefer: return=` (FHIR R4 §3.1.0.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Wanted {
    #[default]
    Representation,
    Minimal,
    Outcome,
}

/// What the hospital answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Option<Vec<u8>>,
    pub(super) etag: Option<String>,
    pub(super) modified: Option<Timestamp>,
    pub(super) location: Option<String>,
}

impl Reply {
    /// 200 with a body.
    pub(super) fn ok(body: Vec<u8>) -> Reply {
        Reply { body: Some(body), ..Reply::default() }
    }

    /// A status with the headers that describe a version.
    pub(super) fn about(status: StatusCode, version: &Version) -> Reply {
        Reply { status, etag: Some(version.etag()), modified: Some(version.updated), ..Reply::default() }
    }
}

/// Answers a call, changing the store where the call asks for it and is allowed.
pub(super) fn answer(store: &mut Store, call: &Call<'_>, scene: Scene<'_>) -> Result<Reply, Refusal> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let (get, post) = (call.method == Method::GET, call.method == Method::POST);
    if let Some(operation) = path.iter().find(|segment| segment.starts_with('$')) {
        let text = format!("the operation {operation} is not supported");
        return Err(Refusal::new(StatusCode::NOT_FOUND, "not-supported", text));
    }
    match path.as_slice() {
        [] if get => search(store, None, call, scene),
        [] if post => bundle::process(store, call, scene),
        [] => Err(Refusal::method_not_allowed("GET, HEAD, POST")),
        ["metadata"] if get => Ok(capability::reply(scene)),
        ["metadata"] => Err(Refusal::method_not_allowed("GET, HEAD")),
        ["_history"] if get => read::history(store, None, None, call, scene),
        ["_history"] => Err(Refusal::method_not_allowed("GET, HEAD")),
        ["_search"] if post => search(store, None, call, scene),
        ["_search"] => Err(Refusal::method_not_allowed("POST")),
        [named, rest @ ..] => {
            let Some(resource_type) = resource_types::stored(named) else {
                let text = "the path does not begin with a resource type that this server keeps";
                return Err(Refusal::new(StatusCode::NOT_FOUND, "not-supported", text));
            };
            below_type(store, resource_type, rest, call, scene)
        }
    }
}

fn below_type(
    store: &mut Store,
    resource_type: &'static str,
    rest: &[&str],
    call: &Call<'_>,
    scene: Scene<'_>,
) -> Result<Reply, Refusal> {
    let method = call.method.as_str();
    match (rest, method) {
        ([], "GET") | (["_search"], "POST") => search(store, Some(resource_type), call, scene),
        ([], "POST") => write::create(store, resource_type, call, scene),
        ([], "PUT") if !call.query.is_empty() => write::conditional_update(store, resource_type, call, scene),
        ([], "DELETE" | "PATCH") if !call.query.is_empty() => {
            let text = "conditional patch and delete are not supported";
            Err(Refusal::bad_request("not-supported", text))
        }
        ([], _) => Err(Refusal::method_not_allowed("GET, HEAD, POST")),
        (["_search"], _) => Err(Refusal::method_not_allowed("POST")),
        (["_history"], "GET") => read::history(store, Some(resource_type), None, call, scene),
        (["_history"], _) => Err(Refusal::method_not_allowed("GET, HEAD")),
        ([id, ..], _) if !is_id(id) => Err(Refusal::not_found("no resource can have this id")),
        ([id], "GET") => read::read(store, resource_type, id, call),
        ([id], "PUT") => write::update(store, resource_type, id, call, scene),
        ([id], "DELETE") => write::delete(store, resource_type, id, call, scene),
        ([_], _) => Err(Refusal::method_not_allowed("GET, HEAD, PUT, DELETE")),
        ([id, "_history"], "GET") => read::history(store, Some(resource_type), Some(id), call, scene),
        ([id, "_history", version], "GET") => read::vread(store, resource_type, id, version, call),
        ([_, "_history"] | [_, "_history", _], _) => Err(Refusal::method_not_allowed("GET, HEAD")),
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, "not-supported", "there is no such path")),
    }
}

fn search(
    store: &Store,
    resource_type: Option<&'static str>,
    call: &Call<'_>,
    scene: Scene<'_>,
) -> Result<Reply, Refusal> {
    let search = Search::parse(resource_type, &call.query, scene)?;
    Ok(Reply::ok(search.page(store, scene, &new_id())))
}

/// A new random id.
pub(super) fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::hospital::store::Capacity;
    use proptest::prelude::*;

    fn segment() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("Patient".to_owned()),
            Just("_history".to_owned()),
            Just("_search".to_owned()),
            Just("metadata".to_owned()),
            Just("p1".to_owned()),
            "\\PC{0,6}",
        ]
    }

    fn pair() -> impl Strategy<Value = (String, String)> {
        let name = prop_oneof![
            Just("_id"),
            Just("_count"),
            Just("_offset"),
            Just("_sort"),
            Just("birthdate"),
            Just("name:exact"),
            Just("_lastUpdated"),
            Just("identifier"),
            Just("general-practitioner"),
            Just("_since"),
            Just("_summary"),
        ];
        (name.prop_map(str::to_owned), prop_oneof!["\\PC{0,12}", "[0-9]{1,22}", "(ge|ap)[0-9-]{4,10}"])
    }

    fn body() -> impl Strategy<Value = String> {
        let entry = prop_oneof![
            Just(r#"{"request":{"method":"GET","url":"Patient?_count=18446744073709551615&_offset=18446744073709551615"}}"#.to_owned()),
            Just(r#"{"request":{"method":"POST","url":"Patient","ifNoneExist":"name=x"},"resource":{"resourceType":"Patient","meta":{}}}"#.to_owned()),
            "[{\"a:\\[\\]}]{0,20}".prop_map(|text| format!("{{{text}}}")),
        ];
        prop_oneof![
            Just(r#"{"resourceType":"Patient","id":"p1","birthDate":"9999-12-31","name":[{"given":[1,null]}]}"#.to_owned()),
            entry.prop_map(|entry| format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{entry}]}}"#)),
            "\\PC{0,30}",
        ]
    }

    proptest! {
        #[test]
        fn no_request_breaks_the_hospital(
            requests in prop::collection::vec((0..5_usize, prop::collection::vec(segment(), 0..5), prop::collection::vec(pair(), 0..4), body()), 1..8)
        ) {
            let mut store = Store::new(Capacity { versions: 20, bytes: 10_000 });
            let scene = Scene { base: "http://h.test/fhir", now: Timestamp::UNIX_EPOCH, page: 5, longest_page: 10, strict: false };
            for (method, path, query, body) in requests {
                let method = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH][method].clone();
                let call = Call { method, path, query, conditions: Conditions::default(), body: body.as_bytes(), reserved: None };
                match answer(&mut store, &call, scene) {
                    Ok(reply) => prop_assert!(reply.status.is_success()),
                    Err(refusal) => prop_assert!(refusal.status.is_client_error() || refusal.status == StatusCode::INSUFFICIENT_STORAGE),
                }
            }
        }
    }
}
