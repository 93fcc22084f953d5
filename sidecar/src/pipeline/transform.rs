//! `$transform` (FHIR R4, operation `StructureMap-transform`): answered here with the site's maps and the built-in ones,
//! never forwarded.
//!
//! The result of a map that makes a resource is the answer; another one comes as a Binary (R4: "the return type is a
//! Binary resource"). Content that is no resource comes in the same way. The answer's header `Varco-Mapping` counts what the
//! map did not read and the codes that it could not translate; `Varco-Validation` tells of faults of the result.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fhir_models::document::{JsonWriter, Limits, OwnedDocument, Value};
use http::{HeaderName, StatusCode};
use varco_core::interaction::Transform;
use varco_core::mapping::{NoteKind, OutputFormat};

use super::answer::Answer;
use super::exchange::Exchange;
use super::{Refusal, validate};
use crate::mapping::{MapFailure, SiteMap};

/// Tells the caller what a map left behind.
const HEADER: HeaderName = HeaderName::from_static("varco-mapping");
/// The definition of Binary.
const BINARY: &str = "http://hl7.org/fhir/StructureDefinition/Binary";

/// Transforms the content in a body.
pub(super) async fn transform(
    exchange: &mut Exchange<'_>,
    mut asked: Transform,
    body: Bytes,
) -> Result<Answer, Refusal> {
    let limits = Limits { bytes: exchange.gateway.config.limits.body_bytes, ..Limits::default() };
    let document = OwnedDocument::parse_json(body, &limits)
        .map_err(|error| Refusal::Body { text: format!("{error}."), too_large: error.is_limit() })?;
    let content = asked.take_body(document.root()).map_err(Refusal::Interaction)?;
    let canonical = asked.source.unwrap_or_default();
    let set = exchange.map_set();
    let map = match set.map(&canonical) {
        None => return Err(Refusal::UnknownMap),
        Some(Ok(map)) => map,
        Some(Err(cause)) => return Err(Refusal::MapFailed { map: canonical, cause }),
    };
    let source = source_of(&map, content, &limits)?;
    let output = exchange.gateway.maps.run(&map, &source).await.map_err(|error| match error {
        MapFailure::Rule(error) => Refusal::Unmapped { map: map.url.clone(), error },
        MapFailure::Broken => Refusal::Internal,
    })?;
    exchange.account.maps.insert(map.url.clone());
    let [result] = output.results.as_slice() else {
        let count = output.results.len();
        return Err(Refusal::NotMapped(format!(
            "the map makes {count} results, and the operation returns one"
        )));
    };
    let resource = result.format == OutputFormat::Json && set.definitions().is_resource(&result.type_name);
    let mut answer = if resource {
        let made = OwnedDocument::parse_json(result.text.as_str(), &limits);
        let made = made.map_err(|error| {
            Refusal::NotMapped(format!("the result is no resource that can be answered: {error}"))
        })?;
        exchange.note_faults(made).await?;
        Answer::fhir(StatusCode::OK, result.text.clone())
    } else {
        let content_type = match result.format {
            OutputFormat::Xml => "application/xml",
            OutputFormat::Json => "application/json",
        };
        Answer::fhir(StatusCode::OK, binary(content_type, &result.text))
    };
    let unmapped = output.notes.iter().filter(|note| matches!(note.kind, NoteKind::Unmapped { .. })).count();
    let lost: u64 = output.lost.iter().map(|(_, count)| count).sum();
    answer.set(HEADER, format!("lost={lost}, unmapped-codes={unmapped}"));
    Ok(answer)
}

/// The content alone, with the lines and columns of the body; what stands in a Binary, where the map is not for Binaries.
fn source_of(map: &SiteMap, content: Value<'_>, limits: &Limits) -> Result<OwnedDocument, Refusal> {
    let wanted = map.compiled.source_types();
    let packed = content.resource_type().as_deref() == Some("Binary")
        && wanted.first().is_some_and(|first| first.as_deref() != Some(BINARY));
    if !packed {
        let alone = validate::in_its_place(content);
        return OwnedDocument::parse_json(alone, limits).map_err(|_| Refusal::Internal);
    }
    let data = content.get_key("data").and_then(Value::as_str);
    let data: String = data.unwrap_or_default().chars().filter(|one| !one.is_ascii_whitespace()).collect();
    let bytes = STANDARD
        .decode(data)
        .map_err(|_| Refusal::NotMapped("the Binary's `data` is missing or no base64".to_owned()))?;
    let unread = |error| Refusal::NotMapped(format!("the content of the Binary can't be read: {error}"));
    map.compiled.read_source(0, &bytes, limits).map_err(unread)
}

fn binary(content_type: &str, text: &str) -> Vec<u8> {
    let mut json = JsonWriter::new();
    json.begin_object().member("resourceType", "Binary").member("contentType", content_type);
    json.member("data", &STANDARD.encode(text)).end_object();
    json.into_bytes()
}
