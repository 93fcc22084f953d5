//! Who takes part, and what the hospitals hold. People are synthetic; the hospitals' names and codes are public.

use serde_json::{Value, json};
use varco_conformance::patients::{
    CONFIDENTIALITY_SYSTEM, DocumentKind, DocumentPlan, FiscalCodeSystem, HOSPITALS, HospitalCode,
    Laboratory, NIGUARDA, Person, Sex, document_reference, laboratory_report,
};

use super::hub::Member;
use super::network::{HSP, NCP, Plan};

/// The German national contact point.
pub const GERMANY: &str = "ncp-de";
/// The French national contact point.
pub const FRANCE: &str = "ncp-fr";
/// A specialist at Humanitas.
pub const SPECIALIST: &str = "humanitas-specialist";
/// Niguarda's consent desk.
pub const DESK: &str = "niguarda-consent-desk";
/// Niguarda's privacy office, which reviews accesses.
pub const REVIEWER: &str = "niguarda-privacy-office";

const ROLES: &str = "urn:varco:demo:subject-role";
const SEED: u64 = 2026;

/// The patient whose laboratory report is read abroad.
pub fn first_patient() -> Person {
    Person::named(SEED, 1, "D'Amico", &["Niccolò"], Sex::Male)
}

/// The patient who asks for a second opinion.
pub fn second_patient() -> Person {
    Person::named(SEED, 2, "Forlì", &["Maria", "Sofia"], Sex::Female)
}

/// The members that may have tokens, by the name of their certificate.
pub fn members() -> Vec<(&'static str, Member)> {
    let member = |client_id, subject, organization: String, role, scope| Member {
        client_id,
        subject,
        organization,
        role: (ROLES, role),
        scope,
    };
    let abroad = "system/Patient.rs system/DiagnosticReport.rs system/Observation.rs";
    let humanitas = format!("{HSP}|030943");
    let niguarda = format!("{HSP}|{}", NIGUARDA.code);
    vec![
        (GERMANY, member("ncp.de", ("DE-4711", "Dr. Anna Weber"), format!("{NCP}|DE"), "AAS", abroad)),
        (FRANCE, member("ncp.fr", ("FR-0815", "Dr Élise Lefèvre"), format!("{NCP}|FR"), "AAS", abroad)),
        (
            SPECIALIST,
            member(
                "humanitas.cardiology",
                ("IT-030943-17", "Dott. Àlvaro Brambilla"),
                humanitas,
                "AAS",
                "user/DocumentReference.rs user/Patient.r",
            ),
        ),
        (
            DESK,
            member(
                "niguarda.consent",
                ("IT-030913-2", "Sportello consensi"),
                niguarda.clone(),
                "OAM",
                "system/Consent.crus",
            ),
        ),
        (
            REVIEWER,
            member(
                "niguarda.privacy",
                ("IT-030913-9", "Ufficio privacy"),
                niguarda,
                "RSA",
                "system/AuditEvent.rs",
            ),
        ),
    ]
}

/// The three hospitals and what their servers hold.
pub fn hospitals() -> Vec<Plan> {
    let fiscal = FiscalCodeSystem::Hl7Italy;
    let (first, second) = (first_patient(), second_patient());
    let mut niguarda = vec![first.patient(fiscal), second.patient(fiscal)];
    let laboratory = Laboratory {
        hospital: NIGUARDA,
        number: 1,
        effective: "2026-10-02T08:15:00+02:00",
        prescription: None,
    };
    niguarda.extend(laboratory_report(&first, &laboratory));
    niguarda.extend((1..=5).map(|number| document(&second, number)));
    let others = (10..14).map(|number| Person::synthetic(SEED, number).patient(fiscal)).collect();
    let more = (20..24).map(|number| Person::synthetic(SEED, number).patient(fiscal)).collect();
    let site = |at: usize, resources| {
        let HospitalCode { code, name } = HOSPITALS.get(at).copied().unwrap_or(NIGUARDA);
        Plan { code, name, resources }
    };
    vec![site(0, niguarda), site(1, others), site(3, more)]
}

/// The documents of the second patient: 1 to 3 are for the second opinion, 4 is masked, 5 is not part of it.
pub const MASKED: u64 = 4;
/// See [`MASKED`].
pub const UNLISTED: u64 = 5;

/// The id of one of the second patient's documents.
pub fn document_id(number: u64) -> String {
    format!("synthetic-document-2-{number}")
}

fn document(patient: &Person, number: u64) -> String {
    let kinds = [
        DocumentKind::DischargeLetter,
        DocumentKind::RadiologyReport,
        DocumentKind::LaboratoryReport,
        DocumentKind::Prescription,
        DocumentKind::PatientSummary,
    ];
    let kind = kinds[(number as usize).saturating_sub(1) % kinds.len()];
    let level = if number == MASKED { "R" } else { "N" };
    let date = format!("2026-09-0{number}T10:00:00+02:00");
    let labels = [(CONFIDENTIALITY_SYSTEM, level)];
    document_reference(
        patient,
        &DocumentPlan { kind, hospital: NIGUARDA, number, date: &date, labels: &labels, prescription: None },
    )
}

/// A Consent of `patient`: nothing but what `permit` says.
pub fn consent(patient: &Person, status: &str, permit: Value) -> Value {
    json!({
        "resourceType": "Consent",
        "status": status,
        "scope": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy" }] },
        "category": [{ "coding": [{ "system": "http://loinc.org", "code": "59284-0" }] }],
        "patient": { "reference": format!("Patient/{}", patient.id()) },
        "dateTime": "2026-10-01T09:00:00+02:00",
        "policyRule": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT" }] },
        "provision": { "type": "deny", "provision": [permit] },
    })
}

/// Whom a provision is for: an organisation, by its identifier.
pub fn recipient(system: &str, value: &str) -> Value {
    json!([{
        "role": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP" }] },
        "reference": { "identifier": { "system": system, "value": value } },
    }])
}

/// What for: treatment.
pub fn treatment() -> Value {
    json!([{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT" }])
}
