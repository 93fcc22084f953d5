//! The search parameters that the hospital knows: type × parameter → elements (FHIR R4 §3.1.1).
//!
//! A row names types, a parameter, how it compares and where its values stand. A path steps into arrays; a
//! step with several spellings of a choice element has one path each.

use fhir_models::document::Value;

/// How a parameter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hospital) enum Kind {
    Token,
    Reference,
    Date,
    Text,
    Uri,
}

impl Kind {
    /// The type's code in a CapabilityStatement (<http://hl7.org/fhir/ValueSet/search-param-type>).
    pub(in crate::hospital) fn code(self) -> &'static str {
        match self {
            Kind::Token => "token",
            Kind::Reference => "reference",
            Kind::Date => "date",
            Kind::Text => "string",
            Kind::Uri => "uri",
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub(in crate::hospital) struct Parameter {
    /// The types that have it; empty for all.
    types: &'static [&'static str],
    pub(in crate::hospital) name: &'static str,
    pub(in crate::hospital) kind: Kind,
    /// Paths of element names, joined by dots.
    pub(super) paths: &'static [&'static str],
    /// The only type a reference may point to, where the parameter says so.
    pub(super) target: Option<&'static str>,
}

const fn row(
    types: &'static [&'static str],
    name: &'static str,
    kind: Kind,
    paths: &'static [&'static str],
) -> Parameter {
    Parameter { types, name, kind, paths, target: None }
}

const fn patient(
    types: &'static [&'static str],
    name: &'static str,
    paths: &'static [&'static str],
) -> Parameter {
    Parameter { types, name, kind: Kind::Reference, paths, target: Some("Patient") }
}

const SUBJECT: &[&str] = &[
    "Account",
    "AdverseEvent",
    "Basic",
    "CarePlan",
    "CareTeam",
    "ChargeItem",
    "ClinicalImpression",
    "Communication",
    "CommunicationRequest",
    "Composition",
    "Condition",
    "Contract",
    "DeviceRequest",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentManifest",
    "DocumentReference",
    "Encounter",
    "Flag",
    "Goal",
    "ImagingStudy",
    "Invoice",
    "List",
    "MeasureReport",
    "Media",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationRequest",
    "MedicationStatement",
    "Observation",
    "Procedure",
    "QuestionnaireResponse",
    "RequestGroup",
    "RiskAssessment",
    "ServiceRequest",
    "Specimen",
];

const PATIENT: &[&str] = &[
    "AllergyIntolerance",
    "Claim",
    "ClaimResponse",
    "Consent",
    "CoverageEligibilityRequest",
    "Device",
    "DetectedIssue",
    "EpisodeOfCare",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Immunization",
    "NutritionOrder",
    "RelatedPerson",
    "SupplyDelivery",
    "VisionPrescription",
];

const CATEGORY: &[&str] = &[
    "AllergyIntolerance",
    "CarePlan",
    "CareTeam",
    "Communication",
    "Composition",
    "Condition",
    "Consent",
    "DiagnosticReport",
    "DocumentReference",
    "Goal",
    "MedicationRequest",
    "MedicationStatement",
    "Observation",
    "Procedure",
    "ServiceRequest",
];

const CODE: &[&str] = &[
    "AllergyIntolerance",
    "Basic",
    "ChargeItem",
    "Condition",
    "DetectedIssue",
    "DiagnosticReport",
    "Flag",
    "List",
    "Medication",
    "Observation",
    "Procedure",
    "ServiceRequest",
    "Substance",
    "SupplyRequest",
    "Task",
];

const TYPE: &[&str] = &[
    "Account",
    "AuditEvent",
    "Bundle",
    "Composition",
    "Coverage",
    "Device",
    "DocumentManifest",
    "DocumentReference",
    "Encounter",
    "EpisodeOfCare",
    "Group",
    "HealthcareService",
    "Invoice",
    "Location",
    "Media",
    "Organization",
    "Specimen",
    "Subscription",
];

const PERSONS: &[&str] = &["Patient", "Person", "Practitioner", "RelatedPerson"];

const NAMED: &[&str] = &["Endpoint", "HealthcareService", "InsurancePlan", "Location", "Organization"];

const CANONICAL: &[&str] = &[
    "ActivityDefinition",
    "CapabilityStatement",
    "CodeSystem",
    "ConceptMap",
    "Library",
    "Measure",
    "NamingSystem",
    "OperationDefinition",
    "PlanDefinition",
    "Questionnaire",
    "SearchParameter",
    "StructureDefinition",
    "StructureMap",
    "TestScript",
    "ValueSet",
];

static TABLE: &[Parameter] = &[
    row(&[], "_id", Kind::Token, &["id"]),
    row(&[], "_lastUpdated", Kind::Date, &["meta.lastUpdated"]),
    row(&[], "_security", Kind::Token, &["meta.security"]),
    row(&[], "_tag", Kind::Token, &["meta.tag"]),
    row(&[], "_profile", Kind::Uri, &["meta.profile"]),
    row(
        &["DocumentReference", "DocumentManifest"],
        "identifier",
        Kind::Token,
        &["masterIdentifier", "identifier"],
    ),
    row(&[], "identifier", Kind::Token, &["identifier"]),
    row(&["Task"], "subject", Kind::Reference, &["for"]),
    patient(&["Task"], "patient", &["for"]),
    row(SUBJECT, "subject", Kind::Reference, &["subject"]),
    patient(SUBJECT, "patient", &["subject"]),
    patient(PATIENT, "patient", &["patient"]),
    patient(&["Appointment", "AppointmentResponse"], "patient", &["participant.actor", "actor"]),
    patient(&["AuditEvent"], "patient", &["agent.who", "entity.what"]),
    patient(&["Coverage"], "patient", &["beneficiary"]),
    row(&["Coverage"], "beneficiary", Kind::Reference, &["beneficiary"]),
    patient(&["Person"], "patient", &["link.target"]),
    patient(&["Provenance"], "patient", &["target"]),
    row(&["Provenance"], "target", Kind::Reference, &["target"]),
    row(PERSONS, "family", Kind::Text, &["name.family"]),
    row(PERSONS, "given", Kind::Text, &["name.given"]),
    row(
        PERSONS,
        "name",
        Kind::Text,
        &["name.family", "name.given", "name.prefix", "name.suffix", "name.text"],
    ),
    row(PERSONS, "gender", Kind::Token, &["gender"]),
    row(PERSONS, "birthdate", Kind::Date, &["birthDate"]),
    row(PERSONS, "telecom", Kind::Token, &["telecom"]),
    row(PERSONS, "address-city", Kind::Text, &["address.city"]),
    row(PERSONS, "address-postalcode", Kind::Text, &["address.postalCode"]),
    row(&["Patient"], "active", Kind::Token, &["active"]),
    row(&["Patient"], "organization", Kind::Reference, &["managingOrganization"]),
    row(&["Patient"], "general-practitioner", Kind::Reference, &["generalPractitioner"]),
    row(&["Patient"], "link", Kind::Reference, &["link.other"]),
    row(&["PractitionerRole"], "practitioner", Kind::Reference, &["practitioner"]),
    row(&["PractitionerRole", "HealthcareService"], "specialty", Kind::Token, &["specialty"]),
    row(&["PractitionerRole"], "organization", Kind::Reference, &["organization"]),
    row(NAMED, "name", Kind::Text, &["name", "alias"]),
    row(&["Organization"], "partof", Kind::Reference, &["partOf"]),
    row(&["Location"], "organization", Kind::Reference, &["managingOrganization"]),
    row(&["HealthcareService"], "organization", Kind::Reference, &["providedBy"]),
    row(CANONICAL, "name", Kind::Text, &["name"]),
    row(CANONICAL, "url", Kind::Uri, &["url"]),
    row(CANONICAL, "version", Kind::Token, &["version"]),
    row(
        &["MedicationRequest", "MedicationDispense", "MedicationStatement", "MedicationAdministration"],
        "code",
        Kind::Token,
        &["medicationCodeableConcept"],
    ),
    row(CODE, "code", Kind::Token, &["code"]),
    row(CATEGORY, "category", Kind::Token, &["category"]),
    row(TYPE, "type", Kind::Token, &["type"]),
    row(&["AllergyIntolerance", "Condition"], "clinical-status", Kind::Token, &["clinicalStatus"]),
    row(&["AllergyIntolerance", "Condition"], "verification-status", Kind::Token, &["verificationStatus"]),
    row(&["Encounter"], "class", Kind::Token, &["class"]),
    row(&["Immunization"], "vaccine-code", Kind::Token, &["vaccineCode"]),
    row(&["DocumentReference"], "security-label", Kind::Token, &["securityLabel"]),
    row(&["Consent"], "security-label", Kind::Token, &["provision.securityLabel"]),
    row(&["Consent"], "purpose", Kind::Token, &["provision.purpose"]),
    row(&["Consent"], "scope", Kind::Token, &["scope"]),
    row(&["Consent"], "actor", Kind::Reference, &["provision.actor.reference"]),
    row(&["Consent"], "data", Kind::Reference, &["provision.data.reference"]),
    row(&["Consent"], "period", Kind::Date, &["provision.period"]),
    row(&["Consent"], "date", Kind::Date, &["dateTime"]),
    row(
        &["Observation", "DiagnosticReport"],
        "date",
        Kind::Date,
        &["effectiveDateTime", "effectivePeriod", "effectiveInstant"],
    ),
    row(&["Observation"], "focus", Kind::Reference, &["focus"]),
    row(&["Observation"], "has-member", Kind::Reference, &["hasMember"]),
    row(&["Observation"], "derived-from", Kind::Reference, &["derivedFrom"]),
    row(&["Encounter"], "diagnosis", Kind::Reference, &["diagnosis.condition"]),
    row(&["Observation"], "value-concept", Kind::Token, &["valueCodeableConcept"]),
    row(&["DiagnosticReport"], "result", Kind::Reference, &["result"]),
    row(&["DiagnosticReport"], "issued", Kind::Date, &["issued"]),
    row(&["DocumentReference", "Composition", "List"], "date", Kind::Date, &["date"]),
    row(&["DocumentReference"], "period", Kind::Date, &["context.period"]),
    row(
        &["DocumentReference", "Composition", "Provenance"],
        "author",
        Kind::Reference,
        &["author", "agent.who"],
    ),
    row(&["DocumentReference"], "custodian", Kind::Reference, &["custodian"]),
    row(&["DocumentReference"], "related", Kind::Reference, &["context.related"]),
    row(&["MedicationRequest", "ServiceRequest", "Task"], "authoredon", Kind::Date, &["authoredOn"]),
    row(&["ServiceRequest"], "authored", Kind::Date, &["authoredOn"]),
    row(&["MedicationRequest"], "date", Kind::Date, &["dosageInstruction.timing.event"]),
    row(&["MedicationDispense"], "prescription", Kind::Reference, &["authorizingPrescription"]),
    row(&["AllergyIntolerance"], "date", Kind::Date, &["recordedDate"]),
    row(&["Condition"], "recorded-date", Kind::Date, &["recordedDate"]),
    row(&["Condition"], "onset-date", Kind::Date, &["onsetDateTime", "onsetPeriod"]),
    row(&["Encounter", "EpisodeOfCare", "CarePlan", "CareTeam"], "date", Kind::Date, &["period"]),
    row(&["Procedure"], "date", Kind::Date, &["performedDateTime", "performedPeriod"]),
    row(&["Immunization"], "date", Kind::Date, &["occurrenceDateTime"]),
    row(&["Appointment"], "date", Kind::Date, &["start"]),
    row(&["AuditEvent"], "date", Kind::Date, &["recorded"]),
    row(&["AuditEvent"], "action", Kind::Token, &["action"]),
    row(&["AuditEvent"], "agent", Kind::Reference, &["agent.who"]),
    row(&["AuditEvent"], "entity", Kind::Reference, &["entity.what"]),
    row(&["Provenance"], "recorded", Kind::Date, &["recorded"]),
    row(&["QuestionnaireResponse"], "authored", Kind::Date, &["authored"]),
    row(&["ImagingStudy"], "started", Kind::Date, &["started"]),
    row(&["Task"], "owner", Kind::Reference, &["owner"]),
    row(&["Task"], "focus", Kind::Reference, &["focus"]),
    row(
        &[
            "CarePlan",
            "DiagnosticReport",
            "MedicationRequest",
            "Observation",
            "Procedure",
            "ServiceRequest",
            "Task",
        ],
        "based-on",
        Kind::Reference,
        &["basedOn"],
    ),
    row(
        &[
            "CarePlan",
            "Composition",
            "Condition",
            "DiagnosticReport",
            "MedicationRequest",
            "Observation",
            "Procedure",
            "ServiceRequest",
            "Task",
        ],
        "encounter",
        Kind::Reference,
        &["encounter"],
    ),
    row(
        &["DiagnosticReport", "Observation", "Immunization", "Procedure"],
        "performer",
        Kind::Reference,
        &["performer", "performer.actor"],
    ),
    row(&["MedicationRequest", "ServiceRequest", "Task"], "requester", Kind::Reference, &["requester"]),
    row(&["Observation", "DiagnosticReport"], "specimen", Kind::Reference, &["specimen"]),
    row(&[], "status", Kind::Token, &["status"]),
    row(&["Goal"], "lifecycle-status", Kind::Token, &["lifecycleStatus"]),
];

/// Types without a `status` element, for which the last row but one does not hold.
const WITHOUT_STATUS: &[&str] = &[
    "AllergyIntolerance",
    "AuditEvent",
    "Basic",
    "Binary",
    "BodyStructure",
    "Bundle",
    "Condition",
    "Goal",
    "Group",
    "HealthcareService",
    "Linkage",
    "Organization",
    "Patient",
    "Person",
    "Practitioner",
    "PractitionerRole",
    "Provenance",
    "RelatedPerson",
    "Schedule",
];

/// Types without an `identifier` element.
const WITHOUT_IDENTIFIER: &[&str] = &[
    "AuditEvent",
    "Binary",
    "CapabilityStatement",
    "CompartmentDefinition",
    "GraphDefinition",
    "ImplementationGuide",
    "Linkage",
    "MessageHeader",
    "NamingSystem",
    "OperationDefinition",
    "Provenance",
    "SearchParameter",
    "Subscription",
    "TerminologyCapabilities",
];

impl Parameter {
    fn applies(&self, resource_type: Option<&str>) -> bool {
        match resource_type {
            None => self.types.is_empty() && self.name.starts_with('_'),
            Some(own) => {
                let absent = match self.name {
                    "status" => WITHOUT_STATUS.contains(&own),
                    "identifier" => WITHOUT_IDENTIFIER.contains(&own),
                    _ => false,
                };
                !absent && (self.types.is_empty() || self.types.contains(&own))
            }
        }
    }

    /// The elements of a resource that the parameter looks at.
    pub(super) fn elements<'a>(&self, resource: Value<'a>) -> Vec<Value<'a>> {
        let mut found = Vec::new();
        for path in self.paths {
            let mut here = vec![resource];
            for step in path.split('.') {
                here =
                    here.into_iter().flat_map(Value::items).filter_map(|value| value.get_key(step)).collect();
            }
            found.extend(here.into_iter().flat_map(Value::items));
        }
        found
    }
}

/// The parameter of a type; `None` for the type asks for those of all resources.
pub(super) fn find(resource_type: Option<&str>, name: &str) -> Option<&'static Parameter> {
    TABLE.iter().find(|parameter| parameter.name == name && parameter.applies(resource_type))
}

/// All parameters of a type, each name once.
pub(in crate::hospital) fn of_type(resource_type: &str) -> Vec<&'static Parameter> {
    let mut found: Vec<&'static Parameter> = Vec::new();
    for parameter in TABLE {
        let known = found.iter().any(|other| other.name == parameter.name);
        if !known && parameter.applies(Some(resource_type)) {
            found.push(parameter);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hospital::resource_types;

    #[test]
    fn rows_name_types_that_exist() {
        for parameter in TABLE {
            for resource_type in parameter.types {
                assert!(
                    resource_types::stored(resource_type).is_some(),
                    "{resource_type} {}",
                    parameter.name
                );
            }
        }
    }

    #[test]
    fn a_type_has_its_own_and_the_common_parameters() {
        assert_eq!(find(Some("DocumentReference"), "identifier").map(|found| found.paths.len()), Some(2));
        assert!(find(Some("Patient"), "family").is_some());
        assert!(find(Some("Patient"), "status").is_none());
        assert!(find(None, "_lastUpdated").is_some());
        assert!(find(None, "identifier").is_none());
        let names: Vec<_> = of_type("Observation").iter().map(|parameter| parameter.name).collect();
        assert!(names.contains(&"patient") && names.contains(&"date") && names.contains(&"_id"));
    }
}
