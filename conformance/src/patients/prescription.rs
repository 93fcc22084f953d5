//! Prescriptions: a MedicationRequest with its national number (NRE).

use super::Person;
use super::element;
use super::places::HospitalCode;
use super::random::Numbers;

/// The system of national prescription numbers.
pub const NRE_SYSTEM: &str = "urn:oid:2.16.840.1.113883.2.9.4.3.8";

/// The system of Italian drug codes (AIC).
pub const AIC_SYSTEM: &str = "urn:oid:2.16.840.1.113883.2.9.6.1.5";

const ATC_SYSTEM: &str = "http://www.whocc.no/atc";

/// ATC code and name, a made-up AIC number (real ones begin with 0).
const DRUGS: &[(&str, &str, &str)] = &[
    ("A10BA02", "metformin", "990000011"),
    ("C09AA05", "ramipril", "990000023"),
    ("C10AA05", "atorvastatin", "990000035"),
    ("J01CA04", "amoxicillin", "990000047"),
    ("N06AB06", "sertraline", "990000059"),
];

/// A prescription number as Lombardy gives them: the region, a series, ten digits.
pub fn prescription_number(patient: &Person, number: u64) -> String {
    let mut numbers = Numbers::of(patient.seed ^ 0x0E5E, patient.number.rotate_left(20) ^ number);
    format!("0300A{:010}", numbers.below(10_000_000_000))
}

/// A prescription of a drug, with its number (NRE) as an identifier.
pub fn medication_request(
    patient: &Person,
    hospital: HospitalCode,
    number: u64,
    authored_on: &str,
) -> String {
    let mut numbers = Numbers::of(patient.seed ^ 0xD206, patient.number.rotate_left(20) ^ number);
    let (atc, name, aic) = numbers.pick(DRUGS, &DRUGS[0]);
    let id = format!("synthetic-prescription-{}-{number}", patient.number);
    let mut json = element::begin("MedicationRequest", &id, None);
    json.key("identifier").begin_array();
    element::identifier(&mut json, NRE_SYSTEM, &prescription_number(patient, number));
    json.end_array().member("status", "active").member("intent", "order").key("medicationCodeableConcept");
    element::concept(&mut json, &[(ATC_SYSTEM, atc, name), (AIC_SYSTEM, aic, "")]);
    json.key("subject");
    element::reference(&mut json, &format!("Patient/{}", patient.id()));
    json.member("authoredOn", authored_on).key("requester");
    element::hospital(&mut json, hospital);
    element::end(json)
}
