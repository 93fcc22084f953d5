//! The Consents that the gateway keeps itself, and what it says of itself. They never reach the hospital's server.
//!
//! Who may read and write consents is decided by scope alone: `system/Consent.cru` is for the hospital's own consent
//! desk.

use bytes::Bytes;
use fhir_models::document::{Edits, JsonWriter, Limits, OwnedDocument, Value, name};
use http::{StatusCode, header};
use uuid::Uuid;
use varco_core::consent::CompiledConsent;
use varco_core::interaction::{Interaction, ParameterKind, Search, SearchReference, SearchValue};

use super::answer::Answer;
use super::exchange::Exchange;
use super::search::Entry;
use super::{Gateway, Refusal};
use crate::store::StoredConsent;

/// The date of the served interface, for `CapabilityStatement.date`; changes with what is served.
const RELEASE_DATE: &str = "2026-11-22";
const SECURITY: &str =
    "Bearer tokens (JWT) of the network's issuer; what is answered depends on the patient's consent.";
/// The operation that every type has.
const VALIDATE: &str = "http://hl7.org/fhir/OperationDefinition/Resource-validate";
/// The operations that one type has: type, name and definition.
const OPERATIONS: &[(&str, &str, &str)] = &[
    ("StructureMap", "transform", "http://hl7.org/fhir/OperationDefinition/StructureMap-transform"),
    ("ConceptMap", "translate", "http://hl7.org/fhir/OperationDefinition/ConceptMap-translate"),
    ("Patient", "match", "http://hl7.org/fhir/OperationDefinition/Patient-match"),
    ("Patient", "everything", "http://hl7.org/fhir/OperationDefinition/Patient-everything"),
    ("Patient", "summary", "http://hl7.org/fhir/uv/ips/OperationDefinition/summary"),
    ("Observation", "lastn", "http://hl7.org/fhir/OperationDefinition/Observation-lastn"),
    ("DocumentReference", "docref", "http://hl7.org/fhir/uv/ipa/OperationDefinition/docref"),
];

/// Create, read, update and search of Consent.
pub(super) async fn consent(
    exchange: &mut Exchange<'_>,
    interaction: Interaction,
    body: Bytes,
) -> Result<Answer, Refusal> {
    match interaction {
        Interaction::Create(_) => {
            put(exchange, Uuid::new_v4().to_string(), 1, &body, StatusCode::CREATED).await
        }
        Interaction::Update(instance) => {
            let id = instance.id.as_str().to_owned();
            let before = exchange.gateway.store.consent(&id).map_err(Refusal::Store)?;
            if let Some(before) = &before
                && !exchange.may_ask_about_consent(&before.body).await?
            {
                return Err(Refusal::Consent);
            }
            let version = before.as_ref().map_or(0, |consent| consent.version);
            if exchange
                .headers
                .if_match
                .as_ref()
                .is_some_and(|expected| expected.as_str() != version.to_string())
            {
                return Err(Refusal::Version);
            }
            let status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
            put(exchange, id, version + 1, &body, status).await
        }
        Interaction::Read(instance) => {
            let stored = exchange.gateway.store.consent(instance.id.as_str()).map_err(Refusal::Store)?;
            let stored = stored.ok_or(Refusal::Absent)?;
            if !exchange.may_ask_about_consent(&stored.body).await? {
                return Err(Refusal::Absent);
            }
            let document = OwnedDocument::parse_json(stored.body.clone(), &Limits::default())
                .map_err(|_| Refusal::Store(crate::store::StoreError::Consent(stored.id.clone())))?;
            exchange.account.released.push(format!("Consent/{}", stored.id));
            Ok(Answer::resource(StatusCode::OK, document.root(), stored.body))
        }
        Interaction::SearchType(search) => {
            let patient = only_patient(&search)?;
            let keys = exchange.consent_keys(&patient, None).await?;
            if !exchange.may_ask_about(&patient).await? {
                return Ok(searchset(exchange, &[]));
            }
            let mut found = Vec::new();
            let identifiers = keys.unwrap_or_default().identifiers;
            for key in std::iter::once(&patient).chain(&identifiers) {
                found.extend(exchange.gateway.store.consents(key).map_err(Refusal::Store)?);
            }
            exchange.account.patients.insert(patient);
            let entry = |consent: StoredConsent| kept(format!("Consent/{}", consent.id), consent.body);
            let entries: Vec<Entry> = found.into_iter().map(entry).collect();
            Ok(searchset(exchange, &entries))
        }
        _ => Err(Refusal::NotServed(
            "Consents are created, read, updated and searched; to revoke one, set its status.",
        )),
    }
}

async fn put(
    exchange: &mut Exchange<'_>,
    id: String,
    version: i64,
    body: &[u8],
    status: StatusCode,
) -> Result<Answer, Refusal> {
    let limits = Limits { bytes: exchange.gateway.config.limits.body_bytes, ..Limits::default() };
    let document = OwnedDocument::parse_json(body, &limits)
        .map_err(|error| Refusal::Body { text: format!("{error}."), too_large: error.is_limit() })?;
    let root = document.root();
    if root.resource_type().as_deref() != Some("Consent") {
        let text = "The body must be a Consent: its `resourceType` must say so.".to_owned();
        return Err(Refusal::Body { text, too_large: false });
    }
    if status == StatusCode::OK && !root.get(name::ID).is_some_and(|own| own.is_str(&id)) {
        let text = "The resource's `id` must be the id in the URL.".to_owned();
        return Err(Refusal::Body { text, too_large: false });
    }
    let compiled = CompiledConsent::compile(root, &exchange.gateway.reading)
        .map_err(|error| Refusal::ConsentResource(error.to_string()))?;
    let patient = exchange.key_of(compiled.patient()).ok_or_else(|| {
        Refusal::ConsentResource(
            "`patient` must name a Patient of this server, as in Patient/123, or carry an `identifier` with its \
             system"
                .to_owned(),
        )
    })?;
    if !exchange.may_ask_about(&patient).await? {
        return Err(Refusal::Consent);
    }
    exchange.inspect_request(&document, body).await?;
    let updated = exchange.account.received.to_string();
    let stamped = stamp(root, &id, version, &updated);
    let stored = StoredConsent { id: id.clone(), version, body: stamped.clone() };
    exchange.account.patients.insert(patient.clone());
    exchange.account.written = Some(format!("Consent/{id}"));
    exchange.intend().await?;
    exchange.gateway.store.put_consent(stored, patient, updated).await.map_err(Refusal::Store)?;
    let mut answer = Answer::fhir(status, stamped);
    answer.set(header::ETAG, format!("W/\"{version}\""));
    if status == StatusCode::CREATED {
        let base = exchange.gateway.config.site.base();
        answer.set(header::LOCATION, format!("{base}/Consent/{id}/_history/{version}"));
    }
    Ok(answer)
}

/// The resource with the id, version and date that the gateway gives it.
fn stamp(root: Value<'_>, id: &str, version: i64, updated: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut json = JsonWriter::new();
        json.string(text);
        json.into_bytes()
    };
    let mut edits = Edits::new(root.document());
    let mut set =
        |container: Value<'_>, key: fhir_models::document::Name, value: Vec<u8>| match container.get(key) {
            Some(member) => edits.replace(member, value),
            None => edits.append(container, &[format!("\"{key}\":").as_bytes(), &value].concat()),
        };
    set(root, name::ID, text(id));
    match root.get(name::META).filter(|meta| meta.is_object()) {
        Some(meta) => {
            set(meta, name::VERSION_ID, text(&version.to_string()));
            set(meta, name::LAST_UPDATED, text(updated));
        }
        None => {
            let mut meta = JsonWriter::new();
            meta.begin_object()
                .member("versionId", &version.to_string())
                .member("lastUpdated", updated)
                .end_object();
            set(root, name::META, meta.into_bytes());
        }
    }
    edits.apply()
}

fn only_patient(search: &Search) -> Result<String, Refusal> {
    let unserved = || Refusal::NotServed("Consents are searched by `patient` alone.");
    if is_joined_or_shaped(search) {
        return Err(unserved());
    }
    match (search.ids.as_slice(), search.criteria.as_slice()) {
        ([], [only]) if only.name() == "patient" && only.modifier().is_none() => match only.values() {
            [SearchValue::Reference(reference)] => patient_key(reference).ok_or_else(unserved),
            _ => Err(unserved()),
        },
        _ => Err(unserved()),
    }
}

/// True where a search asks for more than the gateway's own resources are searched by.
pub(super) fn is_joined_or_shaped(search: &Search) -> bool {
    let Search { joins, includes, summary, elements, .. } = search;
    !joins.is_empty() || !includes.is_empty() || !elements.is_empty() || summary.is_some()
}

pub(super) fn patient_key(reference: &SearchReference) -> Option<String> {
    match reference {
        SearchReference::Id(id) => Some(format!("Patient/{}", id.as_str())),
        SearchReference::Instance(resource_type, id) if resource_type.as_str() == "Patient" => {
            Some(format!("Patient/{}", id.as_str()))
        }
        _ => None,
    }
}

pub(super) fn kept(reference: String, json: Vec<u8>) -> Entry {
    Entry { reference, json: json.into(), included: false }
}

/// All of `entries`.
fn searchset(exchange: &mut Exchange<'_>, entries: &[Entry]) -> Answer {
    let base = exchange.gateway.config.site.base();
    let total = Some(entries.len());
    exchange.account.released.extend(entries.iter().map(|entry| entry.reference.clone()));
    Answer::fhir(StatusCode::OK, super::search::bundle(&[], total, entries, base))
}

/// What this gateway serves, as a CapabilityStatement (FHIR R4 §5.2); written once, then kept.
pub(super) fn capabilities(gateway: &Gateway) -> Answer {
    let statement = gateway.capabilities.get_or_init(|| write_capabilities(gateway).into());
    Answer::fhir(StatusCode::OK, statement.clone())
}

fn write_capabilities(gateway: &Gateway) -> Vec<u8> {
    let site = &gateway.config.site;
    let mut json = JsonWriter::new();
    json.begin_object().member("resourceType", "CapabilityStatement").member("status", "active");
    json.member("date", RELEASE_DATE).member("kind", "instance");
    json.key("software").begin_object().member("name", "Varco").member("version", env!("CARGO_PKG_VERSION"));
    json.end_object().key("implementation").begin_object();
    json.member("description", site.name.as_deref().unwrap_or(&site.id))
        .member("url", site.base())
        .end_object();
    json.member("fhirVersion", "4.0.1").key("format").begin_array().string("json").end_array();
    json.key("rest").begin_array().begin_object().member("mode", "server");
    json.key("security").begin_object().member("description", SECURITY).end_object();
    json.key("resource").begin_array();
    for resource_type in gateway.schema.type_names() {
        write_capabilities_of(gateway, resource_type, &mut json);
    }
    json.end_array().key("interaction").begin_array();
    for code in ["transaction", "batch", "history-system"] {
        json.begin_object().member("code", code).end_object();
    }
    json.end_array();
    json.end_object().end_array().end_object();
    json.into_bytes()
}

fn write_conditions_and_includes(gateway: &Gateway, resource_type: &str, json: &mut JsonWriter) {
    json.key("conditionalCreate").boolean(true).member("conditionalRead", "full-support");
    json.key("conditionalUpdate").boolean(true).member("conditionalDelete", "single");
    let own = gateway.schema.resource_type(resource_type);
    let references = own.iter().flat_map(|own| gateway.schema.parameters(own));
    let followed: Vec<_> = references
        .filter(|parameter| parameter.kind == ParameterKind::Reference && parameter.paths.is_some())
        .collect();
    if !followed.is_empty() {
        json.key("searchInclude").begin_array();
        for parameter in followed {
            json.string(&format!("{resource_type}:{}", parameter.name));
        }
        json.end_array();
    }
}

fn write_capabilities_of(gateway: &Gateway, resource_type: &str, json: &mut JsonWriter) {
    let (interactions, searched): (&[&str], Option<&[&str]>) = match resource_type {
        "Consent" => (&["create", "read", "update", "search-type"], Some(&["patient"])),
        "AuditEvent" => (&["read", "search-type"], Some(super::trail::PARAMETERS)),
        _ => {
            let all: &[&str] = &[
                "create",
                "read",
                "vread",
                "update",
                "patch",
                "delete",
                "history-instance",
                "history-type",
                "search-type",
            ];
            (all, None)
        }
    };
    json.begin_object().member("type", resource_type).key("interaction").begin_array();
    for code in interactions {
        json.begin_object().member("code", code).end_object();
    }
    json.end_array().member("versioning", "versioned-update").key("updateCreate").boolean(false);
    if searched.is_none() {
        write_conditions_and_includes(gateway, resource_type, json);
    }
    json.key("searchParam").begin_array();
    json.begin_object().member("name", "_id").member("type", "token").end_object();
    let own = gateway.schema.resource_type(resource_type);
    let parameters = own.iter().flat_map(|own| gateway.schema.parameters(own));
    for parameter in parameters.filter(|parameter| !parameter.name.starts_with('_')) {
        if searched.is_none_or(|searched| searched.contains(&&*parameter.name)) {
            json.begin_object()
                .member("name", &parameter.name)
                .member("type", parameter.kind.code())
                .end_object();
        }
    }
    json.end_array().key("operation").begin_array().begin_object().member("name", "validate");
    json.member("definition", VALIDATE).end_object();
    let own = OPERATIONS.iter().filter(|(on, ..)| *on == resource_type);
    for (_, name, definition) in own {
        json.begin_object().member("name", name).member("definition", definition).end_object();
    }
    json.end_array().end_object();
}
