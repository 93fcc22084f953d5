//! What the hospital says it can do (FHIR R4 §3.1.0.11).

use std::sync::LazyLock;

use fhir_models::document::JsonWriter;

use super::call::Reply;
use super::resource_types;
use super::search::{Scene, table};

/// Changes with the program, not with time: the statement's date and ETag.
const DATE: &str = "2026-01-01";

static RESOURCES: LazyLock<Vec<u8>> = LazyLock::new(resources);

pub(super) fn reply(scene: Scene<'_>) -> Reply {
    let mut json = JsonWriter::new();
    json.begin_object().member("resourceType", "CapabilityStatement").member("status", "active");
    json.member("date", DATE).member("kind", "instance");
    json.key("software").begin_object().member("name", "Varco simulated hospital");
    json.member("version", env!("CARGO_PKG_VERSION")).end_object();
    json.key("implementation")
        .begin_object()
        .member("description", "A simulated hospital with synthetic patients");
    json.member("url", scene.base).end_object();
    json.member("fhirVersion", "4.0.1");
    json.key("format").begin_array().string("application/fhir+json").string("json").end_array();
    json.key("rest").begin_array().begin_object().member("mode", "server");
    json.key("resource").raw(&RESOURCES);
    codes(&mut json, &["transaction", "batch", "history-system", "search-system"]);
    json.end_object().end_array().end_object();
    let etag = format!("W/\"{}-{DATE}\"", env!("CARGO_PKG_VERSION"));
    Reply { etag: Some(etag), ..Reply::ok(json.into_bytes()) }
}

fn resources() -> Vec<u8> {
    let mut json = JsonWriter::new();
    json.begin_array();
    for resource_type in resource_types::all() {
        json.begin_object().member("type", resource_type);
        codes(
            &mut json,
            &[
                "read",
                "vread",
                "update",
                "delete",
                "history-instance",
                "history-type",
                "create",
                "search-type",
            ],
        );
        json.member("versioning", "versioned-update").key("readHistory").boolean(true);
        json.key("updateCreate").boolean(true).key("conditionalCreate").boolean(true);
        json.key("conditionalUpdate").boolean(true).member("conditionalDelete", "not-supported");
        json.key("searchParam").begin_array();
        for parameter in table::of_type(resource_type) {
            json.begin_object()
                .member("name", parameter.name)
                .member("type", parameter.kind.code())
                .end_object();
        }
        json.end_array().end_object();
    }
    json.end_array();
    json.into_bytes()
}

fn codes(json: &mut JsonWriter, codes: &[&str]) {
    json.key("interaction").begin_array();
    for code in codes {
        json.begin_object().member("code", code).end_object();
    }
    json.end_array();
}
