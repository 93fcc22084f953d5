//! The codes of AuditEvents that are no matter of a BALP pattern (FHIR R4 §6.5).

use super::balp::{AUTHZ_SUBTYPE, BASIC_AUDIT_ENTITY, Coded, DCM, Pattern, USER_AGENT};
use super::{AuditRecord, AuditedEvent};

const REST: Coded = ("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "RESTful Operation");
const RESTFUL_INTERACTION: &str = "http://hl7.org/fhir/restful-interaction";
const ALERT: Coded = (DCM, "110113", "Security Alert");
const EMERGENCY: Coded = (DCM, "110127", "Emergency Override Started");
/// Of events that neither DICOM nor IHE has a word for.
const OWN_SUBTYPE: &str = "urn:varco:audit-subtype";

pub(super) const SOURCE_TYPE: &str = "http://terminology.hl7.org/CodeSystem/security-source-type";
/// The kind of a source that answers requests.
pub(super) const APPLICATION_SERVER: (&str, &str) = ("4", "Application Server");
/// The kind of a source that decides.
pub(super) const SECURITY_SERVER: (&str, &str) = ("6", "Security Server");

pub(super) const AUTHORIZATION_SERVER: Coded =
    ("http://terminology.hl7.org/CodeSystem/extra-security-role-type", "authserver", "authorization server");
pub(super) const PROVIDER: Coded =
    ("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV", "healthcare provider");

const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
/// Types of entities.
pub(super) const PERSON: Coded = (ENTITY_TYPE, "1", "Person");
pub(super) const OBJECT: Coded = (ENTITY_TYPE, "2", "System Object");
pub(super) const OTHER: Coded = (ENTITY_TYPE, "4", "Other");
pub(super) const CONSENT: Coded = ("http://hl7.org/fhir/resource-types", "Consent", "Consent");
pub(super) const REQUEST: Coded = (
    BASIC_AUDIT_ENTITY,
    "XrequestId",
    "transport specific unique identifier where http X-Request-Id is used",
);
pub(super) const TOKEN: Coded = (USER_AGENT, "UserOauthAgent", "User OAuth Agent participant");
/// Roles of entities.
pub(super) const PATIENT: Coded = (OBJECT_ROLE, "1", "Patient");
pub(super) const DOMAIN_RESOURCE: Coded = (OBJECT_ROLE, "4", "Domain Resource");
pub(super) const SECURITY_RESOURCE: Coded = (OBJECT_ROLE, "13", "Security Resource");
pub(super) const QUERY: Coded = (OBJECT_ROLE, "24", "Query");

/// What kind of event a record tells of: its type, and its subtypes.
pub(super) fn event_codes(record: &AuditRecord, pattern: &Pattern) -> (Coded, [Option<Coded>; 2]) {
    let name = pattern.subtype;
    let (kind, subtype) = match record.event {
        AuditedEvent::Review => (ALERT, (OWN_SUBTYPE, name, "Review of an emergency override")),
        AuditedEvent::ConsentDecision => {
            (ALERT, (AUTHZ_SUBTYPE, name, "Authorization Decision using Roles and Consent"))
        }
        _ => (REST, (RESTFUL_INTERACTION, name, name)),
    };
    (kind, [Some(subtype), record.processing.emergency.as_ref().map(|_| EMERGENCY)])
}
