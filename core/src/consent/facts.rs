//! What a consent may ask about a resource.
//!
//! Invariant: a fact that is not known is absent, never guessed: a resource without a date has no period, one
//! without an author has no list of authors. A provision that depends on an unknown fact restricts.

use std::sync::LazyLock;

use fhir_models::document::{Kind, Name, Node, NodeId, Value, name};
use jiff::tz::TimeZone;

use super::reading::{coding, codings, identifier};
use super::subsumption::CONFIDENTIALITY;
use super::{Confidentiality, Interval, LiteralReference};
use crate::access::{Labels, NestedResource, is_alone};
use crate::requester::{BusinessIdentifier, Code};

/// How dates and references in documents are read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The zone whose civil days a date without a time means.
    pub zone: TimeZone,
    /// Base URLs of the server at hand; absolute references under them count as relative ones.
    pub bases: Vec<String>,
}

impl Default for Reading {
    /// UTC days and no base URL.
    fn default() -> Self {
        Reading { zone: TimeZone::UTC, bases: Vec::new() }
    }
}

/// Somebody or something that wrote a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// The literal reference, where there is one that can be compared.
    pub reference: Option<LiteralReference>,
    /// Business identifiers, from a logical reference or a contained resource.
    pub identifiers: Vec<BusinessIdentifier>,
}

/// What a consent may ask about a resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourceFacts {
    /// The resource itself: `DocumentReference/5`. `None` where it has no id yet.
    pub reference: Option<LiteralReference>,
    /// Its type.
    pub resource_type: String,
    /// Its business identifiers.
    pub identifiers: Vec<BusinessIdentifier>,
    /// Its security labels, those of contained resources included.
    pub labels: Vec<Code>,
    /// Every code in its content, labels and tags excepted.
    pub codes: Vec<Code>,
    /// The classes of content it belongs to, such as the document type and the media type.
    pub classes: Vec<Code>,
    /// The profiles that it claims, as canonical URLs.
    pub profiles: Vec<String>,
    /// The span of its clinical and authoring dates; `None` where not known.
    pub period: Option<Interval>,
    /// The resources it refers to.
    pub references: Vec<LiteralReference>,
    /// The resources that refer to it; `None` where not known.
    pub referred_by: Option<Vec<LiteralReference>>,
    /// Who wrote it; `None` where not known, empty where its type has no authors.
    pub authors: Option<Vec<Party>>,
}

/// Types that carry no author: what they say is not authored by anybody in the sense of `authoredby`.
const UNAUTHORED: &[&str] = &[
    "Patient",
    "Person",
    "RelatedPerson",
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "OrganizationAffiliation",
    "Location",
    "HealthcareService",
    "Endpoint",
    "Device",
    "Medication",
    "Substance",
    "Group",
    "Schedule",
    "Slot",
];

/// Where authors stand, as one or two element names.
static AUTHORS: LazyLock<Places> = LazyLock::new(|| {
    Places::of(&[
        &["author"],
        &["authenticator"],
        &["recorder"],
        &["asserter"],
        &["performer"],
        &["performer", "actor"],
        &["requester"],
        &["resultsInterpreter"],
        &["informationSource"],
        &["source"],
        &["sender"],
        &["assessor"],
        &["operator"],
        &["orderer"],
        &["enterer"],
        &["provider"],
        &["expressedBy"],
        &["contributor"],
        &["participant", "individual"],
        &["collection", "collector"],
        &["agent", "who"],
    ])
});

/// Where clinical and authoring dates stand.
static DATES: LazyLock<Places> = LazyLock::new(|| {
    Places::of(&[
        &["effectiveDateTime"],
        &["effectiveInstant"],
        &["effectivePeriod"],
        &["issued"],
        &["authoredOn"],
        &["date"],
        &["created"],
        &["recordedDate"],
        &["recorded"],
        &["onsetDateTime"],
        &["onsetPeriod"],
        &["performedDateTime"],
        &["performedPeriod"],
        &["occurrenceDateTime"],
        &["occurrencePeriod"],
        &["period"],
        &["context", "period"],
        &["dateAsserted"],
        &["started"],
        &["sent"],
        &["received"],
        &["authored"],
        &["whenPrepared"],
        &["whenHandedOver"],
        &["dateTime"],
        &["billablePeriod"],
        &["timestamp"],
    ])
});

/// Where the class of a document stands.
static CLASSES: LazyLock<Places> =
    LazyLock::new(|| Places::of(&[&["type"], &["category"], &["content", "format"]]));
/// Where a document's own identifier stands.
static MASTER_IDENTIFIER: LazyLock<Name> = LazyLock::new(|| Name::of("masterIdentifier"));
/// Where media types stand.
static MEDIA: LazyLock<[Name; 3]> = LazyLock::new(|| ["content", "attachment", "contentType"].map(Name::of));

impl ResourceFacts {
    /// The facts that stand in a resource. What only other resources can tell (`referred_by`) is left unknown.
    pub fn of_resource(resource: Value<'_>, reading: &Reading) -> ResourceFacts {
        ResourceFacts::of_one(resource, is_alone(resource), reading)
    }

    /// The same of the first resource of a list that [`resources`](crate::access::resources) made of it.
    pub fn of_first(all: &[NestedResource<'_>], reading: &Reading) -> ResourceFacts {
        let first = all.first().map(|first| ResourceFacts::of_one(first.value, all.len() == 1, reading));
        first.unwrap_or_default()
    }

    fn of_one(resource: Value<'_>, alone: bool, reading: &Reading) -> ResourceFacts {
        let resource_type = resource.resource_type().map(|kind| kind.into_owned()).unwrap_or_default();
        let id = resource.str_of(name::ID);
        let reference = id.and_then(|id| LiteralReference::of(&resource_type, &id));
        let mut facts = ResourceFacts { reference, ..ResourceFacts::default() };
        for own in [name::IDENTIFIER, *MASTER_IDENTIFIER] {
            resource.each(&[own], &mut |value| facts.identifiers.extend(identifier(value)));
        }
        facts.profiles = strings(resource.path(&[name::META, name::PROFILE]));
        facts.collect(resource, alone, reading);
        facts.classes = classes(resource, &resource_type);
        facts.period = period(resource, reading);
        facts.authors = authors(resource, &resource_type, reading);
        facts.resource_type = resource_type;
        facts
    }

    /// Gives a resource that carries no confidentiality label the level that the deployment assumes.
    pub fn assume_confidentiality(&mut self, level: Confidentiality) {
        if !self.labels.iter().any(|label| label.system == CONFIDENTIALITY) {
            self.labels.push(Code::new(CONFIDENTIALITY, level.code()));
        }
    }

    /// Adds labels that stand elsewhere than in `meta.security`, or are inherited from whoever holds the resource.
    pub fn add_labels(&mut self, labels: &Labels) {
        labels.codes().iter().for_each(|label| push_new(&mut self.labels, label.clone()));
    }

    /// Collects labels, codes and references, in one pass over what stands below the resource; `alone`: no resource stands
    /// inside.
    fn collect(&mut self, resource: Value<'_>, alone: bool, reading: &Reading) {
        let document = resource.document();
        let nodes = document.nodes();
        let end = nodes.get(resource.id().index()).map_or(0, Node::after);
        let mut next = resource.id().number() + 1;
        // What stands before it belongs to a resource inside.
        let mut inside_until = 0;
        while let Some(node) = nodes.get(next as usize).filter(|_| next < end) {
            let (here, name) = (next, node.name());
            next += 1;
            let asked = [name::META, name::TEXT, name::REFERENCE, name::CODE, name::CONTAINED];
            if alone && !asked.contains(&name) {
                continue;
            }
            let Some(value) = document.value(NodeId::at(here)) else { return };
            let outermost = here >= inside_until;
            match name {
                name::META => self.labels_of(value, outermost),
                name::REFERENCE => {
                    let text = value.as_str();
                    let found = text.and_then(|text| LiteralReference::parse_at(&text, &reading.bases));
                    self.references.extend(found);
                }
                name::TEXT => {}
                _ => {
                    let is_code = name == name::CODE && node.kind() == Kind::String && !node.is_underscored();
                    if is_code && let Some(code) = value.parent().and_then(concept) {
                        push_new(&mut self.codes, code);
                    }
                    if outermost && (name == name::CONTAINED || (!alone && is_resource(value))) {
                        inside_until = node.after();
                    }
                    continue;
                }
            }
            next = node.after().max(next);
        }
    }

    /// A resource inside makes the whole stricter, but does not vouch for it: its lower levels don't count.
    fn labels_of(&mut self, meta: Value<'_>, outermost: bool) {
        meta.each(&[name::SECURITY], &mut |value| {
            let Some(label) = coding(value) else { return };
            let lower = label.system == CONFIDENTIALITY
                && Confidentiality::of_code(&label.code)
                    .is_some_and(|level| level <= Confidentiality::Normal);
            if outermost || !lower {
                push_new(&mut self.labels, label);
            }
        });
    }
}

/// What an object with a `code` says; nothing where that code is no concept: a resource's, or a Quantity's unit.
fn concept(value: Value<'_>) -> Option<Code> {
    let quantity = value.get(name::VALUE).is_some_and(|value| value.kind() == Kind::Number);
    if quantity || is_resource(value) { None } else { coding(value) }
}

fn is_resource(value: Value<'_>) -> bool {
    value.is_object() && value.get(name::RESOURCE_TYPE).is_some()
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn strings(values: Vec<Value<'_>>) -> Vec<String> {
    values.into_iter().filter_map(|value| Some(value.as_str()?.into_owned())).collect()
}

/// Places in a resource, one or two element names each.
struct Places {
    /// By the number of the first name: whether any place begins with it.
    begins: Box<[bool]>,
    steps: Box<[(Name, Option<Name>)]>,
}

impl Places {
    fn of(paths: &[&[&str]]) -> Places {
        let steps: Box<[_]> = paths
            .iter()
            .filter_map(|path| Some((Name::of(path.first()?), path.get(1).map(|second| Name::of(second)))))
            .collect();
        let begins =
            (0..Name::count()).map(|at| steps.iter().any(|(first, _)| first.index() == at)).collect();
        Places { begins, steps }
    }

    /// Shows what stands there, in the order of the source; items of lists each for itself.
    fn each<'a>(&self, resource: Value<'a>, mut show: impl FnMut(Value<'a>)) {
        for member in resource.children().filter(|member| !member.is_underscored()) {
            let name = member.name();
            if !self.begins.get(name.index()).is_some_and(|begins| *begins) {
                continue;
            }
            for (_, second) in self.steps.iter().filter(|(first, _)| *first == name) {
                match second {
                    None => member.items().for_each(&mut show),
                    Some(second) => {
                        let inner = member.items().filter_map(|item| item.get(*second));
                        inner.flat_map(Value::items).for_each(&mut show);
                    }
                }
            }
        }
    }
}

fn classes(resource: Value<'_>, resource_type: &str) -> Vec<Code> {
    let mut found = Vec::new();
    if matches!(resource_type, "DocumentReference" | "Composition" | "DiagnosticReport" | "DocumentManifest")
    {
        CLASSES.each(resource, |value| {
            coding(value).into_iter().chain(codings(value)).for_each(|code| push_new(&mut found, code));
        });
    }
    let mut add = |media: Value<'_>| {
        if let Some(media) = media.as_str() {
            push_new(&mut found, Code::new("urn:ietf:bcp:13", media));
        }
    };
    resource.each(&*MEDIA, &mut add);
    if resource_type == "Binary" {
        resource.each(&MEDIA[2..], &mut add);
    }
    found
}

/// The hull of all dates; the last update where there is none; unknown where one can't be read.
fn period(resource: Value<'_>, reading: &Reading) -> Option<Interval> {
    let read = |value: Value<'_>| match value.as_str() {
        Some(text) => Interval::of_date_time(&text, &reading.zone),
        None => Interval::of_period(value, &reading.zone),
    };
    let mut hull: Option<Option<Interval>> = None;
    DATES.each(resource, |date| {
        let next = read(date);
        hull = Some(match hull {
            None => next,
            Some(hull) => hull.zip(next).map(|(hull, next)| hull.hull(&next)),
        });
    });
    hull.unwrap_or_else(|| read(*resource.path(&[name::META, name::LAST_UPDATED]).first()?))
}

fn authors(resource: Value<'_>, resource_type: &str, reading: &Reading) -> Option<Vec<Party>> {
    if UNAUTHORED.contains(&resource_type) {
        return Some(Vec::new());
    }
    let mut parties = Vec::new();
    AUTHORS.each(resource, |value| {
        if value.is_object()
            && (value.get(name::REFERENCE).is_some() || value.get(name::IDENTIFIER).is_some())
        {
            parties.push(party(value, resource, reading));
        }
    });
    (!parties.is_empty()).then_some(parties)
}

/// Who a `Reference` means. One that is contained is known by its business identifiers.
pub(super) fn party(reference: Value<'_>, resource: Value<'_>, reading: &Reading) -> Party {
    let mut identifiers: Vec<_> = reference.get(name::IDENTIFIER).and_then(identifier).into_iter().collect();
    let text = reference.str_of(name::REFERENCE);
    if let Some(fragment) = text.as_deref().and_then(|text| text.strip_prefix('#')) {
        let contained = resource.path(&[name::CONTAINED]).into_iter();
        let own = contained.filter(|inner| inner.str_of(name::ID).is_some_and(|id| id == fragment));
        identifiers.extend(own.flat_map(|inner| inner.path(&[name::IDENTIFIER])).filter_map(identifier));
    }
    Party { reference: text.and_then(|text| LiteralReference::parse_at(&text, &reading.bases)), identifiers }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fhir_models::document::{Limits, OwnedDocument};

    fn facts(json: &str) -> ResourceFacts {
        let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
        ResourceFacts::of_resource(document.root(), &Reading::default())
    }

    #[test]
    fn a_document_reference_tells_its_facts() {
        let document = facts(
            r##"{"resourceType":"DocumentReference","id":"5",
            "meta":{"profile":["http://example.org/p"],"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}],
                    "tag":[{"system":"http://example.org/tags","code":"bozza"}]},
            "masterIdentifier":{"system":"urn:oid:2.16.840.1.113883.2.9.2.30.4.4","value":"0309.1"},
            "contained":[{"resourceType":"Practitioner","id":"a","identifier":[{"system":"http://hl7.it/sid/codiceFiscale","value":"RSSMRA71E01F205E"}]}],
            "type":{"coding":[{"system":"http://loinc.org","code":"11502-2"}]},
            "subject":{"reference":"Patient/p1"},"date":"2026-02-03T10:00:00Z","author":[{"reference":"#a"}],
            "content":[{"attachment":{"contentType":"application/pdf","url":"Binary/9"}}],
            "context":{"encounter":[{"reference":"Encounter/7"}],"period":{"start":"2026-02-01","end":"2026-02-02"}}}"##,
        );
        assert_eq!(document.reference.unwrap().as_str(), "DocumentReference/5");
        assert_eq!(document.labels, [Code::new(CONFIDENTIALITY, "R")]);
        assert_eq!(document.codes, [Code::new("http://loinc.org", "11502-2")]);
        assert!(document.classes.contains(&Code::new("urn:ietf:bcp:13", "application/pdf")));
        let refers: Vec<_> = document.references.iter().map(LiteralReference::as_str).collect();
        assert_eq!(refers, ["Patient/p1", "Encounter/7"]);
        assert_eq!(document.authors.unwrap()[0].identifiers[0].value, "RSSMRA71E01F205E");
        assert_eq!(document.identifiers[0].value, "0309.1");
        let period = document.period.unwrap();
        assert_eq!(period.start.to_string(), "2026-02-01T00:00:00Z");
        assert_eq!(period.end.to_string(), "2026-02-03T10:00:01Z");
    }

    #[test]
    fn quantities_and_narrative_hold_no_codes() {
        let observation = facts(
            r#"{"resourceType":"Observation","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},
            "valueQuantity":{"value":60,"system":"http://unitsofmeasure.org","code":"/min"},
            "text":{"status":"generated","div":"<div/>"},"meta":{"lastUpdated":"2026-01-01T00:00:00Z"}}"#,
        );
        assert_eq!(observation.codes, [Code::new("http://loinc.org", "8867-4")]);
        assert_eq!(observation.period.unwrap().start.to_string(), "2026-01-01T00:00:00Z");
        assert_eq!((observation.reference, observation.authors), (None, None));
    }

    #[test]
    fn a_contained_resource_makes_the_whole_stricter_only() {
        let outer = |code: &str| {
            facts(&format!(
                r#"{{"resourceType":"DiagnosticReport","contained":[{{"resourceType":"Observation","meta":{{"security":[{{"system":"{CONFIDENTIALITY}","code":"{code}"}}]}}}}]}}"#
            ))
        };
        assert_eq!(outer("N").labels, []);
        assert_eq!(outer("V").labels, [Code::new(CONFIDENTIALITY, "V")]);
        let entry = |code: &str| {
            facts(&format!(
                r#"{{"resourceType":"Bundle","entry":[{{"resource":{{"resourceType":"Flag","meta":{{"security":[{{"system":"{CONFIDENTIALITY}","code":"{code}"}}]}}}}}},{{"resource":{{"resourceType":"Flag"}}}}]}}"#
            ))
        };
        assert_eq!(entry("N").labels, []);
        assert_eq!(entry("V").labels, [Code::new(CONFIDENTIALITY, "V")]);
    }

    #[test]
    fn unknown_stays_unknown() {
        let broken = facts(
            r#"{"resourceType":"Observation","effectiveDateTime":"ieri","issued":"2026-01-01T00:00:00Z"}"#,
        );
        assert_eq!(broken.period, None);
        assert_eq!(facts(r#"{"resourceType":"Patient","id":"p1"}"#).authors, Some(Vec::new()));
        assert_eq!(facts(r#"{"resourceType":"Patient","id":"p1"}"#).period, None);
        let mut unlabelled = facts(r#"{"resourceType":"Patient"}"#);
        unlabelled.assume_confidentiality(Confidentiality::Normal);
        unlabelled.assume_confidentiality(Confidentiality::VeryRestricted);
        assert_eq!(unlabelled.labels, [Code::new(CONFIDENTIALITY, "N")]);
    }
}
