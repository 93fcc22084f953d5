//! The sections of a summary, and which resource stands in which (IPS 2.0.0, profile `Composition-uv-ips`).

use fhir_models::document::Value;

/// Said of a section that must stand and holds nothing, whatever the cause.
pub(super) const NOTHING_KNOWN: &str =
    "No information is available here. This does not mean that there is nothing to report.";

const CATEGORY_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
const VITAL: &str = "vital-signs";
const RESULTS: &[&str] = &["laboratory", "imaging"];

/// The categories of the observations that are summarised, as a token search's value.
pub const OBSERVATION_CATEGORIES: &str = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory,\
     http://terminology.hl7.org/CodeSystem/observation-category|imaging,\
     http://terminology.hl7.org/CodeSystem/observation-category|vital-signs";

/// The types that are summarised.
pub const TYPES: &[&str] = &[
    "Condition",
    "AllergyIntolerance",
    "MedicationStatement",
    "MedicationRequest",
    "Immunization",
    "DiagnosticReport",
    "Observation",
    "Procedure",
    "DeviceUseStatement",
    "CarePlan",
];

/// What was never so, or is not so yet.
const LEFT_OUT: &[&str] = &["entered-in-error", "not-done", "not-taken", "cancelled", "draft"];

/// A section.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// Its title.
    pub title: &'static str,
    /// Its LOINC code.
    pub code: &'static str,
    /// It stands even where it holds nothing.
    pub required: bool,
}

const fn section(title: &'static str, code: &'static str, required: bool) -> Section {
    Section { title, code, required }
}

static PROBLEMS: Section = section("Problems", "11450-4", true);
static ALLERGIES: Section = section("Allergies and intolerances", "48765-2", true);
static MEDICATIONS: Section = section("Medications", "10160-0", true);
static IMMUNIZATIONS: Section = section("Immunizations", "11369-6", false);
static DIAGNOSTICS: Section = section("Results", "30954-2", false);
static PROCEDURES: Section = section("Procedures", "47519-4", false);
static DEVICES: Section = section("Medical devices", "46264-8", false);
static PAST_PROBLEMS: Section = section("Past problems", "11348-0", false);
static VITAL_SIGNS: Section = section("Vital signs", "8716-3", false);
static PLAN: Section = section("Plan of care", "18776-5", false);

impl Section {
    /// All of them, in the order that they stand in.
    pub(super) fn all() -> [&'static Section; 10] {
        [
            &PROBLEMS,
            &ALLERGIES,
            &MEDICATIONS,
            &IMMUNIZATIONS,
            &DIAGNOSTICS,
            &PROCEDURES,
            &DEVICES,
            &PAST_PROBLEMS,
            &VITAL_SIGNS,
            &PLAN,
        ]
    }

    /// The section of a resource, if it belongs to a summary.
    pub(super) fn of(resource: Value<'_>) -> Option<&'static Section> {
        if is_left_out(resource) {
            return None;
        }
        match resource.resource_type()?.as_ref() {
            "Condition" if is_past(resource) => Some(&PAST_PROBLEMS),
            "Condition" => Some(&PROBLEMS),
            "AllergyIntolerance" => Some(&ALLERGIES),
            "MedicationStatement" | "MedicationRequest" => Some(&MEDICATIONS),
            "Immunization" => Some(&IMMUNIZATIONS),
            "DiagnosticReport" => Some(&DIAGNOSTICS),
            "Observation" if in_category(resource, &[VITAL]) => Some(&VITAL_SIGNS),
            "Observation" if in_category(resource, RESULTS) => Some(&DIAGNOSTICS),
            "Procedure" => Some(&PROCEDURES),
            "DeviceUseStatement" => Some(&DEVICES),
            "CarePlan" => Some(&PLAN),
            _ => None,
        }
    }
}

/// Whether a resource belongs to a summary.
pub fn is_part(resource: Value<'_>) -> bool {
    Section::of(resource).is_some()
}

fn is_left_out(resource: Value<'_>) -> bool {
    let status = resource.get_key("status").and_then(Value::as_str);
    status.is_some_and(|status| LEFT_OUT.contains(&status.as_ref()))
        || has_code(resource, "verificationStatus", &["entered-in-error", "refuted"])
}

fn is_past(condition: Value<'_>) -> bool {
    has_code(condition, "clinicalStatus", &["inactive", "remission", "resolved"])
}

fn has_code(resource: Value<'_>, element: &str, codes: &[&str]) -> bool {
    let concept = resource.get_key(element);
    let codings = concept.and_then(|concept| concept.get_key("coding")).into_iter().flat_map(Value::items);
    codings.filter_map(|coding| coding.get_key("code")?.as_str()).any(|code| codes.contains(&code.as_ref()))
}

fn in_category(observation: Value<'_>, codes: &[&str]) -> bool {
    let categories = observation.get_key("category").into_iter().flat_map(Value::items);
    let codings = categories.filter_map(|category| category.get_key("coding")).flat_map(Value::items);
    codings
        .filter(|coding| coding.get_key("system").is_some_and(|system| system.is_str(CATEGORY_SYSTEM)))
        .filter_map(|coding| coding.get_key("code")?.as_str())
        .any(|code| codes.contains(&code.as_ref()))
}
