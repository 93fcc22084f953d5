//! The International Patient Summary (HL7 IPS 2.0.0) as a document, composed from the resources that a caller may see.
//!
//! A summary that another server made can't be cut without a trace: narrative and sections tell of what was taken out.
//! So it is written here. Invariant: the document says nothing but what the given resources say; a section that must
//! stand says the same where something is hidden, where nothing is recorded and where nothing could be asked.

mod narrative;
mod section;
mod wording;

use fhir_models::document::{JsonWriter, Value};
use jiff::Timestamp;

pub use section::{OBSERVATION_CATEGORIES, TYPES, is_part};

use narrative::Table;
use section::Section;

/// The system of identifiers that are URIs (FHIR R4 §2.24.0.12).
const URI_SYSTEM: &str = "urn:ietf:rfc:3986";
const EMPTY_REASON: &str = "http://terminology.hl7.org/CodeSystem/list-empty-reason";

/// A resource of the summary, as the caller gets it.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// `[type]/[id]`
    pub reference: &'a str,
    /// The resource.
    pub resource: Value<'a>,
}

/// Who puts the summary together.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    /// The organisation's name.
    pub name: &'a str,
    /// The system of its identifier.
    pub system: &'a str,
    /// Its identifier.
    pub value: &'a str,
}

/// UUIDs of what the document holds beside the patient's resources; new for each document.
#[derive(Debug, Clone, Copy)]
pub struct Uuids<'a> {
    /// Of the document.
    pub document: &'a str,
    /// Of its Composition.
    pub composition: &'a str,
    /// Of the author's Organization.
    pub author: &'a str,
}

/// What a summary is made of.
#[derive(Debug, Clone, Copy)]
pub struct PatientSummary<'a> {
    /// The FHIR base URL that the resources are read under, without a slash at its end.
    pub base: &'a str,
    /// When it is made.
    pub time: Timestamp,
    /// Who makes it.
    pub author: Author<'a>,
    /// The ids of its own resources.
    pub uuids: Uuids<'a>,
    /// The patient.
    pub patient: Part<'a>,
    /// What is summarised, each resource once; those that [`is_part`] is false of are left out.
    pub parts: &'a [Part<'a>],
    /// What these refer to: medications and devices.
    pub along: &'a [Part<'a>],
    /// What is incomplete about it, said in the Composition's narrative.
    pub notes: &'a [String],
}

impl PatientSummary<'_> {
    /// The Bundle of type `document` as JSON (IPS profile `Bundle-uv-ips`).
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = JsonWriter::new();
        json.begin_object().member("resourceType", "Bundle");
        json.key("identifier").begin_object().member("system", URI_SYSTEM);
        json.member("value", &urn(self.uuids.document)).end_object();
        json.member("type", "document").member("timestamp", &self.moment());
        json.key("entry").begin_array();
        json.begin_object().member("fullUrl", &urn(self.uuids.composition)).key("resource");
        self.write_composition(&mut json);
        json.end_object();
        let parts = self.parts.iter().filter(|part| is_part(part.resource));
        for part in std::iter::once(&self.patient).chain(parts).chain(self.along) {
            json.begin_object().member("fullUrl", &self.url(part)).key("resource");
            json.raw(part.resource.raw().as_bytes()).end_object();
        }
        json.begin_object().member("fullUrl", &urn(self.uuids.author)).key("resource");
        self.write_author(&mut json);
        json.end_object().end_array().end_object();
        json.into_bytes()
    }

    fn write_composition(&self, json: &mut JsonWriter) {
        json.begin_object().member("resourceType", "Composition").member("id", self.uuids.composition);
        if !self.notes.is_empty() {
            write_text(json, &narrative::paragraphs(self.notes.iter().map(String::as_str)));
        }
        json.member("status", "final").key("type");
        write_loinc(json, "60591-5");
        json.key("subject").begin_object().member("reference", &self.url(&self.patient)).end_object();
        json.member("date", &self.moment()).key("author").begin_array().begin_object();
        json.member("reference", &urn(self.uuids.author)).member("display", self.author.name);
        json.end_object().end_array().member("title", "Patient summary");
        json.key("section").begin_array();
        for section in Section::all() {
            let parts: Vec<&Part<'_>> =
                self.parts.iter().filter(|part| Section::of(part.resource) == Some(section)).collect();
            if section.required || !parts.is_empty() {
                self.write_section(json, section, &parts);
            }
        }
        json.end_array().end_object();
    }

    fn write_section(&self, json: &mut JsonWriter, section: &Section, parts: &[&Part<'_>]) {
        json.begin_object().member("title", section.title).key("code");
        write_loinc(json, section.code);
        if parts.is_empty() {
            write_text(json, &narrative::paragraphs([section::NOTHING_KNOWN]));
            json.key("emptyReason").begin_object().key("coding").begin_array().begin_object();
            json.member("system", EMPTY_REASON)
                .member("code", "unavailable")
                .member("display", "Unavailable");
            json.end_object().end_array().end_object().end_object();
            return;
        }
        let mut table = Table::new();
        for part in parts {
            table.row(wording::row(part.resource, &|reference| self.along_at(reference)));
        }
        write_text(json, &table.finish());
        json.key("entry").begin_array();
        for part in parts {
            json.begin_object().member("reference", &self.url(part)).end_object();
        }
        json.end_array().end_object();
    }

    fn write_author(&self, json: &mut JsonWriter) {
        json.begin_object().member("resourceType", "Organization").member("id", self.uuids.author);
        json.key("identifier").begin_array().begin_object().member("system", self.author.system);
        json.member("value", self.author.value).end_object().end_array();
        json.member("name", self.author.name).end_object();
    }

    /// What comes along under a reference.
    fn along_at(&self, reference: &str) -> Option<Value<'_>> {
        let below = reference.strip_prefix(self.base).and_then(|rest| rest.strip_prefix('/'));
        let relative = below.unwrap_or(reference);
        let current = relative.split("/_history/").next().unwrap_or_default();
        self.along.iter().find(|part| part.reference == current).map(|part| part.resource)
    }

    fn url(&self, part: &Part<'_>) -> String {
        format!("{}/{}", self.base, part.reference)
    }

    fn moment(&self) -> String {
        format!("{:.3}", self.time)
    }
}

fn urn(uuid: &str) -> String {
    format!("urn:uuid:{uuid}")
}

fn write_loinc(json: &mut JsonWriter, code: &str) {
    json.begin_object().key("coding").begin_array().begin_object();
    json.member("system", "http://loinc.org").member("code", code).end_object().end_array().end_object();
}

fn write_text(json: &mut JsonWriter, div: &str) {
    json.key("text").begin_object().member("status", "generated").member("div", div).end_object();
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
