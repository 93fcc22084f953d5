//! The hospital's memory: every version of every resource.
//!
//! Invariant: a record's versions are numbered 1, 2, 3 … without gaps, and a store is cheap to copy (records
//! are shared until one of them changes), which is how a transaction works on a copy and keeps it or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use fhir_models::document::{Document, Edits, JsonWriter, Limits, OwnedDocument, name};
use http::StatusCode;
use jiff::Timestamp;

use super::outcome::Refusal;
use super::resource_types;

/// What made a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Created,
    Updated,
    Deleted,
}

/// One version of a resource.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) number: u64,
    pub(super) updated: Timestamp,
    /// Position in the order of all changes to the store.
    pub(super) sequence: u64,
    pub(super) deed: Deed,
    /// The resource; `None` for a deletion.
    pub(super) content: Option<OwnedDocument>,
}

impl Version {
    /// The weak ETag of the version (FHIR R4 §3.1.0.1.3).
    pub(super) fn etag(&self) -> String {
        format!("W/\"{}\"", self.number)
    }
}

/// A resource's versions, oldest first. Never empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    versions: Vec<Version>,
}

impl Record {
    pub(super) fn latest(&self) -> Option<&Version> {
        self.versions.last()
    }

    pub(super) fn version(&self, number: u64) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    pub(super) fn versions(&self) -> &[Version] {
        &self.versions
    }
}

/// How much a store may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    pub(super) versions: usize,
    pub(super) bytes: usize,
}

/// All records, by type and id.
#[derive(Debug, Clone)]
pub(super) struct Store {
    types: BTreeMap<&'static str, BTreeMap<String, Arc<Record>>>,
    sequence: u64,
    versions: usize,
    bytes: usize,
    capacity: Capacity,
}

/// A resource that a caller sent, parsed and checked for its type.
#[derive(Debug)]
pub(super) struct Submitted<'a> {
    pub(super) document: Document<'a>,
    pub(super) resource_type: &'static str,
    /// Its `id`, where it has one.
    pub(super) id: Option<String>,
}

impl<'a> Submitted<'a> {
    /// Checks a parsed resource: an object of a stored type with its mandatory elements.
    pub(super) fn check(document: Document<'a>) -> Result<Submitted<'a>, Refusal> {
        let root = document.root();
        if !root.is_object() {
            return Err(Refusal::bad_request("structure", "a resource is a JSON object"));
        }
        let Some(named) = root.resource_type() else {
            return Err(Refusal::bad_request("structure", "the resource has no resourceType"));
        };
        let Some(resource_type) = resource_types::stored(&named) else {
            return Err(Refusal::bad_request(
                "not-supported",
                "the resourceType is not one this server keeps",
            ));
        };
        if root.get(name::META).is_some_and(|meta| !meta.is_object()) {
            return Err(
                Refusal::bad_request("structure", "meta is an object").at(format!("{resource_type}.meta"))
            );
        }
        for &element in resource_types::mandatory(resource_type) {
            let found = match element.strip_suffix("[x]") {
                None => root.get_key(element).is_some(),
                Some(stem) => root.children().any(|child| {
                    child.key().is_some_and(|key| {
                        key.strip_prefix(stem).is_some_and(|rest| rest.starts_with(char::is_uppercase))
                    })
                }),
            };
            if !found {
                let text = format!("{resource_type} must have {element}");
                return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "required", text)
                    .at(format!("{resource_type}.{}", element.trim_end_matches("[x]"))));
            }
        }
        let id = match root.get(name::ID) {
            None => None,
            Some(id) => match id.as_str().filter(|id| is_id(id)) {
                Some(id) => Some(id.into_owned()),
                None => {
                    let text = "an id has 1 to 64 letters, digits, hyphens and dots";
                    return Err(Refusal::bad_request("value", text).at(format!("{resource_type}.id")));
                }
            },
        };
        Ok(Submitted { document, resource_type, id })
    }
}

/// True for a logical id (FHIR R4 §2.24.0.1, type `id`).
pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}

impl Store {
    pub(super) fn new(capacity: Capacity) -> Store {
        Store { types: BTreeMap::new(), sequence: 0, versions: 0, bytes: 0, capacity }
    }

    pub(super) fn record(&self, resource_type: &str, id: &str) -> Option<&Record> {
        Some(self.types.get(resource_type)?.get(id)?)
    }

    /// The current resources of a type, with their ids.
    pub(super) fn current(
        &self,
        resource_type: &str,
    ) -> impl Iterator<Item = (&str, &Version, &OwnedDocument)> {
        self.types.get(resource_type).into_iter().flatten().filter_map(|(id, record)| {
            let version = record.latest()?;
            Some((id.as_str(), version, version.content.as_ref()?))
        })
    }

    /// Every version of every record of a type, or of all types.
    pub(super) fn history<'a>(
        &'a self,
        only: Option<&'a str>,
    ) -> impl Iterator<Item = (&'static str, &'a str, &'a Version)> {
        let wanted = self.types.iter().filter(move |(kept, _)| only.is_none_or(|only| only == **kept));
        wanted.flat_map(|(&resource_type, records)| {
            records.iter().flat_map(move |(id, record)| {
                record.versions.iter().map(move |version| (resource_type, id.as_str(), version))
            })
        })
    }

    /// How many resources exist now.
    pub(super) fn count(&self) -> usize {
        self.types.keys().map(|resource_type| self.current(resource_type).count()).sum()
    }

    /// Adds a version with this content under the id. `id` and the server's part of `meta` are set; every other byte stays.
    pub(super) fn put(
        &mut self,
        submitted: &Submitted<'_>,
        id: &str,
        now: Timestamp,
    ) -> Result<Version, Refusal> {
        let before = self.record(submitted.resource_type, id).and_then(Record::latest);
        let number = before.map_or(1, |version| version.number.saturating_add(1));
        let revived = before.is_none_or(|version| version.content.is_none());
        let deed = if revived { Deed::Created } else { Deed::Updated };
        let text = stamp(submitted.document, id, number, now);
        let content = OwnedDocument::parse_json(text, &Limits::default())
            .map_err(|error| Refusal::bad_request("structure", error.to_string()))?;
        self.add(submitted.resource_type, id, number, now, deed, Some(content))
    }

    /// Marks a resource as deleted. Gives `None` where there is nothing to delete.
    pub(super) fn delete(
        &mut self,
        resource_type: &'static str,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Version>, Refusal> {
        let Some(before) = self.record(resource_type, id).and_then(Record::latest) else { return Ok(None) };
        if before.content.is_none() {
            return Ok(None);
        }
        let number = before.number.saturating_add(1);
        self.add(resource_type, id, number, now, Deed::Deleted, None).map(Some)
    }

    /// Replaces the current content without a new version: the last step of a transaction.
    pub(super) fn amend(&mut self, resource_type: &str, id: &str, content: OwnedDocument) {
        let record = self.types.get_mut(resource_type).and_then(|records| records.get_mut(id));
        if let Some(version) = record.and_then(|record| Arc::make_mut(record).versions.last_mut()) {
            version.content = Some(content);
        }
    }

    fn add(
        &mut self,
        resource_type: &'static str,
        id: &str,
        number: u64,
        updated: Timestamp,
        deed: Deed,
        content: Option<OwnedDocument>,
    ) -> Result<Version, Refusal> {
        let size = content.as_ref().map_or(0, |content| content.text().len());
        let bytes = self.bytes.saturating_add(size);
        if self.versions >= self.capacity.versions || bytes > self.capacity.bytes {
            let text = format!(
                "the simulated hospital is full: it keeps {} versions and {} bytes",
                self.capacity.versions, self.capacity.bytes
            );
            return Err(Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "too-costly", text));
        }
        self.versions += 1;
        self.bytes = bytes;
        self.sequence = self.sequence.saturating_add(1);
        let version = Version { number, updated, sequence: self.sequence, deed, content };
        let record = self.types.entry(resource_type).or_default().entry(id.to_owned()).or_default();
        Arc::make_mut(record).versions.push(version.clone());
        Ok(version)
    }
}

/// An instant with milliseconds, as FHIR writes it.
pub(super) fn instant(at: Timestamp) -> String {
    jiff::fmt::temporal::DateTimePrinter::new().precision(Some(3)).timestamp_to_string(&at)
}

/// The resource's text with its `id`, `meta.versionId` and `meta.lastUpdated` set (FHIR R4 §2.26.3.4).
fn stamp(document: Document<'_>, id: &str, number: u64, now: Timestamp) -> Vec<u8> {
    let quoted = |text: &str| {
        let mut json = JsonWriter::new();
        json.string(text);
        json.into_bytes()
    };
    let member = |key: &str, value: &[u8]| [b"\"", key.as_bytes(), b"\":", value].concat();
    let root = document.root();
    let mut edits = Edits::new(document);
    match root.get(name::ID) {
        Some(old) => edits.replace(old, quoted(id)),
        None => edits.append(root, &member("id", &quoted(id))),
    }
    let (version, updated) = (quoted(&number.to_string()), quoted(&instant(now)));
    match root.get(name::META) {
        Some(meta) => {
            for (key, element, value) in
                [("versionId", name::VERSION_ID, &version), ("lastUpdated", name::LAST_UPDATED, &updated)]
            {
                match meta.get(element) {
                    Some(old) => edits.replace(old, value.clone()),
                    None => edits.append(meta, &member(key, value)),
                }
            }
        }
        None => {
            let both = [member("versionId", &version), member("lastUpdated", &updated)].join(&b","[..]);
            edits.append(root, &member("meta", &[b"{", &both[..], b"}"].concat()));
        }
    }
    edits.apply()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T09:30:00.5Z".parse().unwrap()
    }

    fn put(store: &mut Store, text: &str, id: &str) -> Result<Version, Refusal> {
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        store.put(&Submitted::check(document.document())?, id, now())
    }

    fn small() -> Store {
        Store::new(Capacity { versions: 3, bytes: 100_000 })
    }

    #[test]
    fn stamping_changes_only_what_the_server_owns() {
        let mut store = small();
        let sent = r#"{ "resourceType": "Patient", "id": "theirs", "meta": {"versionId": "9", "tag": []}, "x": 1.50 }"#;
        let version = put(&mut store, sent, "ours").unwrap();
        assert_eq!(
            version.content.unwrap().text(),
            r#"{ "resourceType": "Patient", "id": "ours", "meta": {"versionId": "1", "tag": [],"lastUpdated":"2026-03-01T09:30:00.500Z"}, "x": 1.50 }"#
        );
        let version = put(&mut store, r#"{"resourceType":"Patient"}"#, "ours").unwrap();
        assert_eq!(
            version.content.unwrap().text(),
            r#"{"resourceType":"Patient","id":"ours","meta":{"versionId":"2","lastUpdated":"2026-03-01T09:30:00.500Z"}}"#
        );
        assert_eq!(version.deed, Deed::Updated);
    }

    #[test]
    fn a_deleted_resource_comes_back_as_created() {
        let mut store = small();
        put(&mut store, r#"{"resourceType":"Patient"}"#, "p").unwrap();
        assert_eq!(store.delete("Patient", "p", now()).unwrap().unwrap().number, 2);
        assert!(store.delete("Patient", "p", now()).unwrap().is_none());
        assert_eq!(store.count(), 0);
        assert_eq!(put(&mut store, r#"{"resourceType":"Patient"}"#, "p").unwrap().deed, Deed::Created);
    }

    #[test]
    fn a_full_store_says_so() {
        let mut store = small();
        for id in ["a", "b", "c"] {
            put(&mut store, r#"{"resourceType":"Patient"}"#, id).unwrap();
        }
        let refused = put(&mut store, r#"{"resourceType":"Patient"}"#, "d").unwrap_err();
        assert_eq!(refused.status, StatusCode::INSUFFICIENT_STORAGE);
    }

    #[test]
    fn mandatory_elements_are_a_business_rule() {
        let mut store = small();
        let refused = put(&mut store, r#"{"resourceType":"Observation","status":"final"}"#, "o").unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.expression.as_deref()), (422, Some("Observation.code")));
        let sent = r#"{"resourceType":"MedicationRequest","status":"active","intent":"order","subject":{}}"#;
        let refused = put(&mut store, sent, "m").unwrap_err();
        assert_eq!(refused.expression.as_deref(), Some("MedicationRequest.medication"));
    }
}
