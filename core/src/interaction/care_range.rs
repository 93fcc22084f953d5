//! Which resources tell of care in a range of dates (`start` and `end` of `$everything` and `$docref`).
//!
//! The range relates to care dates, not to when a record was made. FHIR R4 names no element for it: here a type's
//! care dates are the first of its elements in [`CARE_DATES`] that hold a date. A resource without any belongs to no
//! time and is never left out.

use fhir_models::document::Value;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::history::window;

/// From when to when care was given, both ends included; a date, or a date and time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CareRange {
    /// From the beginning of this on.
    pub start: Option<String>,
    /// Up to the end of this.
    pub end: Option<String>,
}

/// The elements that say when care was given, those that come first count first. A choice stands without its type.
const CARE_DATES: &[(&str, &[&str])] = &[
    ("Account", &["servicePeriod"]),
    ("AdverseEvent", &["date", "detected"]),
    ("AllergyIntolerance", &["onset", "recordedDate"]),
    ("Appointment", &["start", "requestedPeriod"]),
    ("CarePlan", &["period", "created"]),
    ("CareTeam", &["period"]),
    ("ChargeItem", &["occurrence"]),
    ("Claim", &["billablePeriod", "created"]),
    ("ClinicalImpression", &["effective", "date"]),
    ("Communication", &["sent", "received"]),
    ("CommunicationRequest", &["occurrence", "authoredOn"]),
    ("Composition", &["date"]),
    ("Condition", &["onset", "recordedDate"]),
    ("DetectedIssue", &["identified"]),
    ("DeviceRequest", &["occurrence", "authoredOn"]),
    ("DeviceUseStatement", &["timing", "recordedOn"]),
    ("DiagnosticReport", &["effective", "issued"]),
    ("DocumentManifest", &["created"]),
    ("DocumentReference", &["context.period", "date"]),
    ("Encounter", &["period"]),
    ("EpisodeOfCare", &["period"]),
    ("ExplanationOfBenefit", &["billablePeriod", "created"]),
    ("FamilyMemberHistory", &["date"]),
    ("Flag", &["period"]),
    ("Goal", &["start", "statusDate"]),
    ("ImagingStudy", &["started"]),
    ("Immunization", &["occurrence"]),
    ("List", &["date"]),
    ("Media", &["created", "issued"]),
    ("MedicationAdministration", &["effective"]),
    ("MedicationDispense", &["whenHandedOver", "whenPrepared"]),
    ("MedicationRequest", &["authoredOn"]),
    ("MedicationStatement", &["effective", "dateAsserted"]),
    ("NutritionOrder", &["dateTime"]),
    ("Observation", &["effective", "issued"]),
    ("Procedure", &["performed"]),
    ("QuestionnaireResponse", &["authored"]),
    ("RequestGroup", &["authoredOn"]),
    ("RiskAssessment", &["occurrence"]),
    ("ServiceRequest", &["occurrence", "authoredOn"]),
    ("Specimen", &["collection.collected", "receivedTime"]),
    ("SupplyDelivery", &["occurrence"]),
    ("SupplyRequest", &["occurrence", "authoredOn"]),
    ("Task", &["executionPeriod", "authoredOn"]),
    ("VisionPrescription", &["dateWritten", "created"]),
];

/// The types of the choices that can be dates.
const DATED: &[&str] = &["", "DateTime", "Date", "Instant", "Period", "Timing"];

/// A first and last instant; none where it is open.
type Span = (Option<Timestamp>, Option<Timestamp>);

impl CareRange {
    /// Whether a resource tells of care within the range, or of none at any time. Days without a time zone are those of
    /// `zone`.
    ///
    /// ```
    /// use fhir_models::document::{Limits, Tape};
    /// use jiff::tz::TimeZone;
    /// use varco_core::interaction::CareRange;
    ///
    /// let march = CareRange { start: Some("2026-03-01".to_owned()), end: Some("2026-03-31".to_owned()) };
    /// let text = br#"{"resourceType":"Encounter","period":{"start":"2026-02-27","end":"2026-03-01"}}"#;
    /// let mut tape = Tape::new();
    /// let encounter = tape.parse_json(text, &Limits::default())?;
    /// assert!(march.holds(encounter.root(), &TimeZone::UTC));
    /// # Ok::<(), fhir_models::document::SyntaxError>(())
    /// ```
    pub fn holds(&self, resource: Value<'_>, zone: &TimeZone) -> bool {
        if self.start.is_none() && self.end.is_none() {
            return true;
        }
        let start = self.start.as_deref().and_then(|start| window(start, zone)).map(|(first, _)| first);
        let end = self.end.as_deref().and_then(|end| window(end, zone)).map(|(_, last)| last);
        let spans = spans(resource, zone);
        let within = |(first, last): &Span| {
            let late_enough = start.is_none_or(|start| last.is_none_or(|last| last >= start));
            late_enough && end.is_none_or(|end| first.is_none_or(|first| first <= end))
        };
        spans.is_empty() || spans.iter().any(within)
    }
}

/// The care dates of a resource.
fn spans(resource: Value<'_>, zone: &TimeZone) -> Vec<Span> {
    let kind = resource.resource_type().unwrap_or_default();
    let elements = CARE_DATES.iter().find(|(own, _)| *own == kind).map_or(&[][..], |(_, elements)| elements);
    for element in elements {
        let (above, last) =
            element.rsplit_once('.').map_or((None, *element), |(above, last)| (Some(above), last));
        let holder = above.map_or(Some(resource), |above| resource.get_key(above));
        let values = DATED.iter().filter_map(|own| holder?.get_key(&format!("{last}{own}")));
        let found: Vec<Span> = values.flat_map(|value| dates(value, zone)).collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// The dates of a date, a Period or a Timing (FHIR R4 §2.24.0.16).
pub(super) fn dates(value: Value<'_>, zone: &TimeZone) -> Vec<Span> {
    let at = |value: Option<Value<'_>>| value.and_then(Value::as_str).and_then(|text| window(&text, zone));
    if let Some((first, last)) = at(Some(value)) {
        return vec![(Some(first), Some(last))];
    }
    let (start, end) = (at(value.get_key("start")), at(value.get_key("end")));
    if start.is_some() || end.is_some() {
        return vec![(start.map(|(first, _)| first), end.map(|(_, last)| last))];
    }
    let events = value.get_key("event").into_iter().flat_map(Value::items);
    let mut found: Vec<Span> =
        events.filter_map(|event| at(Some(event))).map(|(a, b)| (Some(a), Some(b))).collect();
    if let Some(bounds) = value.get_key("repeat").and_then(|repeat| repeat.get_key("boundsPeriod")) {
        let (start, end) = (at(bounds.get_key("start")), at(bounds.get_key("end")));
        if start.is_some() || end.is_some() {
            found.push((start.map(|(first, _)| first), end.map(|(_, last)| last)));
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::definition::Definitions;
    use fhir_models::document::{Limits, OwnedDocument};

    use super::*;

    fn holds(start: &str, end: &str, resource: &str) -> bool {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let document = OwnedDocument::parse_json(resource, &Limits::default()).unwrap();
        CareRange { start: given(start), end: given(end) }
            .holds(document.root(), &TimeZone::get("Europe/Rome").unwrap())
    }

    #[test]
    fn care_dates_decide_and_what_has_none_stays() {
        let at = |date: &str| format!(r#"{{"resourceType":"Observation","effectiveDateTime":"{date}"}}"#);
        assert!(holds("2026-03-01", "2026-03-31", &at("2026-03-31T23:59:59+02:00")));
        assert!(!holds("2026-03-01", "2026-03-31", &at("2026-03-31T22:00:00Z")));
        assert!(holds("2026", "", &at("2026-03")));
        assert!(!holds("", "2026-02", &at("2026-03")));
        assert!(holds("2030-01-01", "", r#"{"resourceType":"Observation","valueString":"2026"}"#));
        assert!(holds("2030-01-01", "", r#"{"resourceType":"Organization","date":"2026"}"#));
    }

    #[test]
    fn periods_overlap_and_the_first_dated_element_counts() {
        let open = r#"{"resourceType":"Encounter","period":{"start":"2026-02-01"}}"#;
        assert!(holds("2030", "", open) && !holds("", "2026-01", open));
        let document = r#"{"resourceType":"DocumentReference","date":"2026-06-01T10:00:00Z",
            "context":{"period":{"start":"2026-01-01","end":"2026-01-05"}}}"#;
        assert!(holds("2026-01-05", "2026-02", document) && !holds("2026-06", "", document));
        let request = r#"{"resourceType":"ServiceRequest","authoredOn":"2026-01-01",
            "occurrenceTiming":{"event":["2026-04-01","2026-05-01"]}}"#;
        assert!(holds("2026-05", "", request) && !holds("", "2026-03", request));
        let age = r#"{"resourceType":"Condition","onsetAge":{"value":50},"recordedDate":"2026-01-01"}"#;
        assert!(holds("2026", "2026", age) && !holds("2027", "", age));
    }

    #[test]
    fn every_element_of_the_table_exists() {
        let definitions = Definitions::r4();
        for (kind, elements) in CARE_DATES {
            let canonical = format!("http://hl7.org/fhir/StructureDefinition/{kind}");
            let structure = definitions.structure(&canonical).unwrap();
            for element in *elements {
                let paths = [format!("{kind}.{element}"), format!("{kind}.{element}[x]")];
                assert!(structure.elements.iter().any(|own| paths.contains(&own.path)), "{kind}.{element}");
            }
        }
    }
}
