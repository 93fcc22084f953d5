//! The pieces that synthetic resources share.

use fhir_models::document::JsonWriter;

use super::places::HospitalCode;

/// `"key": {system, value}`, or an item where the key is empty.
pub(super) fn identifier(json: &mut JsonWriter, system: &str, value: &str) {
    json.begin_object().member("system", system).member("value", value).end_object();
}

pub(super) fn coding(json: &mut JsonWriter, system: &str, code: &str, display: &str) {
    json.begin_object().member("system", system).member("code", code);
    json.optional("display", (!display.is_empty()).then_some(display)).end_object();
}

/// A CodeableConcept with its codings.
pub(super) fn concept(json: &mut JsonWriter, codings: &[(&str, &str, &str)]) {
    json.begin_object().key("coding").begin_array();
    for (system, code, display) in codings {
        coding(json, system, code, display);
    }
    json.end_array().end_object();
}

pub(super) fn reference(json: &mut JsonWriter, target: &str) {
    json.begin_object().member("reference", target).end_object();
}

/// A hospital by its code: a logical reference (FHIR R4 §2.3.0.3).
pub(super) fn hospital(json: &mut JsonWriter, hospital: HospitalCode) {
    json.begin_object().member("type", "Organization").key("identifier");
    identifier(json, HospitalCode::SYSTEM, hospital.code);
    json.member("display", hospital.name).end_object();
}

/// The beginning of a resource: type, id and the tag that says it is made up.
pub(super) fn begin(resource_type: &str, id: &str, profile: Option<&str>) -> JsonWriter {
    let mut json = JsonWriter::new();
    json.begin_object().member("resourceType", resource_type).member("id", id).key("meta").begin_object();
    if let Some(profile) = profile {
        json.key("profile").begin_array().string(profile).end_array();
    }
    json.key("tag").begin_array();
    coding(&mut json, "http://terminology.hl7.org/CodeSystem/v3-ActReason", "HTEST", "test health data");
    json.end_array().end_object();
    json
}

/// Ends the resource and gives its text.
pub(super) fn end(mut json: JsonWriter) -> String {
    json.end_object();
    String::from_utf8(json.into_bytes()).unwrap_or_default()
}
