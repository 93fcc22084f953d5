//! Documents: a DocumentReference with security labels and a few words of made-up content.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::element;
use super::places::HospitalCode;
use super::prescription::NRE_SYSTEM;
use super::{LOINC, Person};

/// Levels of confidentiality: `N`, `R`, `V`.
pub const CONFIDENTIALITY_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

/// The masking codes of FSE 2.0 (`P97`, `P98`, `P99`, `P00`), in a system of our own: the official one is not public.
pub const SYNTHETIC_MASKING_SYSTEM: &str = "urn:varco:synthetic:fse-masking";

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// A laboratory report, LOINC 11502-2.
    LaboratoryReport,
    /// A discharge letter of a hospital, LOINC 34105-7.
    DischargeLetter,
    /// A radiology report, LOINC 68604-8.
    RadiologyReport,
    /// A prescription, LOINC 57833-6.
    Prescription,
    /// A patient summary, LOINC 60591-5.
    PatientSummary,
}

impl DocumentKind {
    fn code(self) -> (&'static str, &'static str) {
        match self {
            DocumentKind::LaboratoryReport => ("11502-2", "Laboratory report"),
            DocumentKind::DischargeLetter => ("34105-7", "Hospital Discharge summary"),
            DocumentKind::RadiologyReport => ("68604-8", "Radiology Diagnostic study note"),
            DocumentKind::Prescription => ("57833-6", "Prescription for medication"),
            DocumentKind::PatientSummary => ("60591-5", "Patient summary Document"),
        }
    }
}

/// What a document holds besides the patient.
#[derive(Debug, Clone)]
pub struct DocumentPlan<'a> {
    /// What it is.
    pub kind: DocumentKind,
    /// The hospital that keeps it.
    pub hospital: HospitalCode,
    /// Distinguishes documents of one patient: part of the id.
    pub number: u64,
    /// When it was made, as a FHIR instant.
    pub date: &'a str,
    /// Security labels: system and code.
    pub labels: &'a [(&'a str, &'a str)],
    /// The prescription number (NRE) of the chain that it belongs to, where there is one.
    pub prescription: Option<&'a str>,
}

/// A DocumentReference whose attachment holds the text itself.
pub fn document_reference(patient: &Person, plan: &DocumentPlan<'_>) -> String {
    let id = format!("synthetic-document-{}-{}", patient.number, plan.number);
    let (code, name) = plan.kind.code();
    let mut json = element::begin("DocumentReference", &id, None);
    json.key("masterIdentifier");
    element::identifier(&mut json, &format!("urn:varco:synthetic:{}:document", plan.hospital.code), &id);
    json.member("status", "current").member("docStatus", "final").key("type");
    element::concept(&mut json, &[(LOINC, code, name)]);
    json.key("subject");
    element::reference(&mut json, &format!("Patient/{}", patient.id()));
    json.member("date", plan.date).key("author").begin_array();
    element::hospital(&mut json, plan.hospital);
    json.end_array().key("custodian");
    element::hospital(&mut json, plan.hospital);
    if !plan.labels.is_empty() {
        json.key("securityLabel").begin_array();
        for (system, code) in plan.labels {
            element::concept(&mut json, &[(system, code, "")]);
        }
        json.end_array();
    }
    let text = format!("Documento sintetico: {name}, {} {}.", patient.given.join(" "), patient.family);
    json.key("content").begin_array().begin_object().key("attachment").begin_object();
    json.member("contentType", "text/plain; charset=utf-8").member("language", "it");
    json.member("data", &STANDARD.encode(text)).member("title", name).end_object().end_object().end_array();
    if let Some(number) = plan.prescription {
        json.key("context").begin_object().key("related").begin_array().begin_object();
        json.member("type", "MedicationRequest").key("identifier");
        element::identifier(&mut json, NRE_SYSTEM, number);
        json.end_object().end_array().end_object();
    }
    element::end(json)
}
