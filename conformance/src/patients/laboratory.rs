//! Laboratory reports: LOINC with the regional code beside it, as Lombardy's laboratories send them.

use super::element;
use super::places::HospitalCode;
use super::prescription::NRE_SYSTEM;
use super::random::Numbers;
use super::{LOINC, Person};

/// The system of Lombardy's laboratory codes.
pub const REGIONAL_LABORATORY_SYSTEM: &str = "urn:oid:2.16.840.1.113883.2.9.2.30.6.11";

const UCUM: &str = "http://unitsofmeasure.org";

/// A measurement: LOINC, regional code, its name, the UCUM unit, the range of made-up values and their figures.
///
/// The regional codes follow the pattern of the one that is public (`0090334.02`); the others are synthetic.
struct Analyte {
    loinc: &'static str,
    regional: &'static str,
    name: &'static str,
    unit: &'static str,
    /// Lowest and highest value, in units of the last figure.
    range: (u64, u64),
    figures: u32,
}

const ANALYTES: &[Analyte] = &[
    Analyte {
        loinc: "14957-5",
        regional: "0090334.02",
        name: "Microalbumin [Mass/volume] in Urine",
        unit: "mg/L",
        range: (10, 3000),
        figures: 1,
    },
    Analyte {
        loinc: "2345-7",
        regional: "0090271.01",
        name: "Glucose [Mass/volume] in Serum or Plasma",
        unit: "mg/dL",
        range: (60, 260),
        figures: 0,
    },
    Analyte {
        loinc: "2160-0",
        regional: "0090163.01",
        name: "Creatinine [Mass/volume] in Serum or Plasma",
        unit: "mg/dL",
        range: (50, 400),
        figures: 2,
    },
    Analyte {
        loinc: "4548-4",
        regional: "0090281.01",
        name: "Hemoglobin A1c/Hemoglobin.total in Blood",
        unit: "%",
        range: (40, 120),
        figures: 1,
    },
    Analyte {
        loinc: "2093-3",
        regional: "0090143.01",
        name: "Cholesterol [Mass/volume] in Serum or Plasma",
        unit: "mg/dL",
        range: (120, 320),
        figures: 0,
    },
];

/// What a laboratory report is about besides the patient.
#[derive(Debug, Clone)]
pub struct Laboratory<'a> {
    /// The hospital whose laboratory it was.
    pub hospital: HospitalCode,
    /// Distinguishes reports of one patient: part of the ids.
    pub number: u64,
    /// When the specimen was taken, as a FHIR dateTime with a time zone.
    pub effective: &'a str,
    /// The prescription number (NRE) that the report answers, where there is one.
    pub prescription: Option<&'a str>,
}

/// A DiagnosticReport with its Observations: the report first.
pub fn laboratory_report(patient: &Person, laboratory: &Laboratory<'_>) -> Vec<String> {
    let mut numbers = Numbers::of(patient.seed ^ 0x1AB0, patient.number.rotate_left(20) ^ laboratory.number);
    let stem = format!("synthetic-lab-{}-{}", patient.number, laboratory.number);
    let mut resources = vec![String::new()];
    let mut ids = Vec::new();
    for (at, analyte) in ANALYTES.iter().enumerate() {
        let id = format!("{stem}-{}", at + 1);
        resources.push(observation(patient, laboratory, analyte, &id, &mut numbers));
        ids.push(id);
    }
    if let Some(report) = resources.first_mut() {
        *report = diagnostic_report(patient, laboratory, &stem, &ids);
    }
    resources
}

fn diagnostic_report(patient: &Person, laboratory: &Laboratory<'_>, id: &str, results: &[String]) -> String {
    let mut json = element::begin("DiagnosticReport", id, None);
    json.key("identifier").begin_array();
    element::identifier(&mut json, &format!("urn:varco:synthetic:{}:lab", laboratory.hospital.code), id);
    json.end_array();
    if let Some(number) = laboratory.prescription {
        json.key("basedOn").begin_array().begin_object().member("type", "ServiceRequest").key("identifier");
        element::identifier(&mut json, NRE_SYSTEM, number);
        json.end_object().end_array();
    }
    json.member("status", "final").key("category").begin_array();
    element::concept(&mut json, &[("http://terminology.hl7.org/CodeSystem/v2-0074", "LAB", "Laboratory")]);
    json.end_array().key("code");
    element::concept(&mut json, &[(LOINC, "11502-2", "Laboratory report")]);
    about(&mut json, patient, laboratory);
    json.member("issued", laboratory.effective).key("performer").begin_array();
    element::hospital(&mut json, laboratory.hospital);
    json.end_array().key("result").begin_array();
    for result in results {
        element::reference(&mut json, &format!("Observation/{result}"));
    }
    json.end_array();
    element::end(json)
}

fn observation(
    patient: &Person,
    laboratory: &Laboratory<'_>,
    analyte: &Analyte,
    id: &str,
    numbers: &mut Numbers,
) -> String {
    let mut json = element::begin("Observation", id, None);
    json.member("status", "final").key("category").begin_array();
    let category = "http://terminology.hl7.org/CodeSystem/observation-category";
    element::concept(&mut json, &[(category, "laboratory", "Laboratory")]);
    json.end_array().key("code");
    element::concept(
        &mut json,
        &[(LOINC, analyte.loinc, analyte.name), (REGIONAL_LABORATORY_SYSTEM, analyte.regional, "")],
    );
    about(&mut json, patient, laboratory);
    json.key("performer").begin_array();
    element::hospital(&mut json, laboratory.hospital);
    json.end_array().key("valueQuantity").begin_object();
    let (low, high) = analyte.range;
    let drawn = low + numbers.below(high.saturating_sub(low) + 1);
    json.key("value").raw(decimal(drawn, analyte.figures).as_bytes());
    json.member("unit", analyte.unit).member("system", UCUM).member("code", analyte.unit).end_object();
    element::end(json)
}

fn about(json: &mut fhir_models::document::JsonWriter, patient: &Person, laboratory: &Laboratory<'_>) {
    json.key("subject");
    element::reference(json, &format!("Patient/{}", patient.id()));
    json.member("effectiveDateTime", laboratory.effective);
}

/// A number of units of the last figure, with all its figures: 510 and 2 give `5.10`.
fn decimal(units: u64, figures: u32) -> String {
    match 10_u64.checked_pow(figures) {
        Some(one) if figures > 0 => {
            format!("{}.{:0width$}", units / one, units % one, width = usize::try_from(figures).unwrap_or(0))
        }
        _ => units.to_string(),
    }
}
