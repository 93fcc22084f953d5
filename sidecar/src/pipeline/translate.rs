//! `$translate` (FHIR R4, operation `ConceptMap-translate`): answered here with the concept maps of the site, of its
//! packages and of FHIR itself; nobody else is asked.
//!
//! A concept map that is named and not known is 404; a code that the map doesn't know is an answer: `result` is false.

use std::sync::Arc;

use bytes::Bytes;
use fhir_models::document::{JsonWriter, Limits, OwnedDocument};
use http::StatusCode;
use varco_core::interaction::Translate;
use varco_core::terminology::concept_map::{ConceptMap, Dependency, Match};

use super::Refusal;
use super::answer::Answer;
use super::exchange::Exchange;
use crate::mapping::MapSet;

/// Most targets that one answer names.
const MOST_MATCHES: usize = 1_000;

/// Translates the codes of a request.
pub(super) async fn translate(
    exchange: &mut Exchange<'_>,
    mut asked: Translate,
    body: Bytes,
) -> Result<Answer, Refusal> {
    if asked.takes_body() {
        let limits = Limits { bytes: exchange.gateway.config.limits.body_bytes, ..Limits::default() };
        let document = OwnedDocument::parse_json(body, &limits)
            .map_err(|error| Refusal::Body { text: format!("{error}."), too_large: error.is_limit() })?;
        asked.take_body(document.root()).map_err(Refusal::Interaction)?;
    }
    asked.complete().map_err(Refusal::Interaction)?;
    let set = exchange.map_set();
    let answering = tokio::task::spawn_blocking(move || {
        let maps = maps_for(&set, &asked)?;
        Ok(answer(&maps, &asked))
    });
    let body = answering.await.map_err(|_| Refusal::Internal)??;
    Ok(Answer::fhir(StatusCode::OK, body))
}

/// The concept maps that are asked: the one that is named, or those that fit.
fn maps_for(set: &MapSet, asked: &Translate) -> Result<Vec<Arc<ConceptMap>>, Refusal> {
    let urls = match &asked.url {
        Some(url) => vec![match &asked.concept_map_version {
            Some(version) if !url.contains('|') => format!("{url}|{version}"),
            _ => url.clone(),
        }],
        None => set.concept_maps_for(asked).into_iter().map(str::to_owned).collect(),
    };
    let mut maps = Vec::new();
    for url in urls {
        match set.concept_map(&url) {
            None => {}
            Some(Ok(map)) => maps.push(map),
            Some(Err(cause)) => return Err(Refusal::MapFailed { map: url, cause }),
        }
    }
    if maps.is_empty() { Err(Refusal::UnknownMap) } else { Ok(maps) }
}

/// The Parameters of the answer.
fn answer(maps: &[Arc<ConceptMap>], asked: &Translate) -> Vec<u8> {
    let (mut result, mut message, mut matches) = (false, None, Vec::new());
    for question in asked.questions() {
        for map in maps {
            let said = map.translate(&question);
            result |= said.result;
            message = message.or(said.message);
            for found in said.matches {
                if matches.len() < MOST_MATCHES && !matches.contains(&found) {
                    matches.push(found);
                }
            }
        }
    }
    let mut json = JsonWriter::new();
    json.begin_object().member("resourceType", "Parameters").key("parameter").begin_array();
    json.begin_object().member("name", "result").key("valueBoolean").boolean(result).end_object();
    if let Some(message) = message.filter(|_| !result) {
        json.begin_object().member("name", "message").member("valueString", &message).end_object();
    }
    for found in &matches {
        write(found, &mut json);
    }
    json.end_array().end_object();
    json.into_bytes()
}

fn write(found: &Match<'_>, json: &mut JsonWriter) {
    json.begin_object().member("name", "match").key("part").begin_array();
    let code = found.equivalence.code();
    json.begin_object().member("name", "equivalence").member("valueCode", code).end_object();
    if let Some(concept) = found.concept {
        json.begin_object().member("name", "concept").key("valueCoding").begin_object();
        json.optional("system", concept.system).optional("version", concept.version);
        json.member("code", concept.code).optional("display", concept.display).end_object().end_object();
    }
    for Dependency { element, system, value, display } in found.product {
        json.begin_object().member("name", "product").key("part").begin_array();
        json.begin_object().member("name", "element").member("valueUri", element).end_object();
        json.begin_object().member("name", "concept").key("valueCoding").begin_object();
        json.optional("system", system.as_deref()).member("code", value);
        json.optional("display", display.as_deref()).end_object().end_object();
        json.end_array().end_object();
    }
    if !found.source.is_empty() {
        json.begin_object().member("name", "source").member("valueUri", found.source).end_object();
    }
    json.end_array().end_object();
}
