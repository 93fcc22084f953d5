//! Slimming: a definition without what nothing decides on.
//!
//! A published definition is mostly prose for people: narrative, definitions, mappings to other models,
//! contact data. A pack keeps the elements that validation, search, access and mapping read, and the few
//! words (`title`, `short`, `human`, `display`) that reports show. What is kept is copied token for token,
//! without the space between.
//!
//! Invariant: the result is JSON, holds no element that the source lacks but `changed`, and never changes
//! what [`StructureDefinition::read`](super::StructureDefinition::read) gives for a snapshot.

use super::structure::CHANGED;
use crate::document::{Document, JsonWriter, Value, name};

/// Resource types that a pack holds. Others in a package (guides, lists, examples) describe no data.
pub const KEPT_TYPES: &[&str] = &[
    "CapabilityStatement",
    "CodeSystem",
    "CompartmentDefinition",
    "ConceptMap",
    "NamingSystem",
    "OperationDefinition",
    "SearchParameter",
    "StructureDefinition",
    "StructureMap",
    "ValueSet",
];

/// Languages whose designations are kept: those of the places Varco is first used in.
const LANGUAGES: &[&str] = &["it", "en", "de", "fr"];

/// Members of any definition that nothing decides on.
const PROSE: &[&str] = &[
    "meta",
    "text",
    "contact",
    "publisher",
    "description",
    "purpose",
    "copyright",
    "jurisdiction",
    "useContext",
    "experimental",
    "date",
    "approvalDate",
    "lastReviewDate",
    "effectivePeriod",
    "topic",
    "author",
    "editor",
    "reviewer",
    "endorser",
    "relatedArtifact",
    "keyword",
    "implicitRules",
];

/// Extensions that record the editors' process, by the start of their URL. Checked after `KEPT_EXTENSIONS`.
const PROCESS_EXTENSIONS: &[&str] = &[
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-",
    "http://hl7.org/fhir/StructureDefinition/elementdefinition-translatable",
    "http://hl7.org/fhir/StructureDefinition/elementdefinition-bindingName",
    "http://hl7.org/fhir/StructureDefinition/elementdefinition-isCommonBinding",
    "http://hl7.org/fhir/StructureDefinition/translation",
    "http://hl7.org/fhir/StructureDefinition/valueset-special-status",
    "http://hl7.org/fhir/StructureDefinition/valueset-extensible",
    "http://hl7.org/fhir/StructureDefinition/codesystem-sourceReference",
    "http://hl7.org/fhir/StructureDefinition/valueset-sourceReference",
    "http://hl7.org/fhir/StructureDefinition/valueset-conceptOrder",
    "http://hl7.org/fhir/StructureDefinition/codesystem-conceptOrder",
    "http://hl7.org/fhir/StructureDefinition/valueset-concept-comments",
    "http://hl7.org/fhir/StructureDefinition/codesystem-concept-comments",
    "http://hl7.org/fhir/StructureDefinition/resource-lastReviewDate",
    "http://hl7.org/fhir/StructureDefinition/resource-approvalDate",
    "http://hl7.org/fhir/StructureDefinition/artifact-",
    "http://hl7.org/fhir/StructureDefinition/cqf-",
    "http://hl7.org/fhir/StructureDefinition/naming-system-",
    "http://hl7.org/fhir/5.0/",
    "http://hl7.org/fhir/build/",
    "http://hl7.org/fhir/tools/StructureDefinition/binding-definition",
    "http://terminology.hl7.org/StructureDefinition/",
];

/// Of those, the ones that decide.
const KEPT_EXTENSIONS: &[&str] = &[
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type",
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-hierarchy",
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.binding.additional",
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-type-characteristics",
];

/// Where in a definition the walk is: what may be dropped depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The resource itself, by its type.
    Root(Resource),
    /// An `ElementDefinition`.
    Element,
    /// A `Constraint` of one.
    Constraint,
    /// A concept of a code system or value set.
    Concept,
    /// The designations of a concept, of which some languages stay.
    Designations,
    /// The properties of a concept, of which notes to editors go.
    Properties,
    /// Extensions, of which those that record process go.
    Extensions,
    /// A property, filter or parameter declaration, a statement about a resource: prose goes.
    Declaration,
    /// Copied whole, but for extensions that record process.
    Whole,
    /// A value of any type: copied token for token.
    Verbatim,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    Structure { keep_differential: bool },
    CodeSystem,
    ValueSet,
    Other,
}

/// The slimmed text of a definition. A resource of another type comes back whole.
pub fn slim(document: Document<'_>) -> Vec<u8> {
    let root = document.root();
    let mut slimmer =
        Slimmer { out: JsonWriter::new(), url: root.str_of(name::URL).unwrap_or_default().into() };
    let kind = match root.resource_type().as_deref() {
        Some("StructureDefinition") => {
            Resource::Structure { keep_differential: root.get(name::SNAPSHOT).is_none() }
        }
        Some("CodeSystem") => Resource::CodeSystem,
        Some("ValueSet") => Resource::ValueSet,
        _ => Resource::Other,
    };
    slimmer.object(root, Place::Root(kind));
    slimmer.out.into_bytes()
}

struct Slimmer {
    out: JsonWriter,
    url: String,
}

impl Slimmer {
    fn value(&mut self, value: Value<'_>, place: Place) {
        if value.is_object() {
            self.object(value, place);
        } else if value.is_array() {
            self.out.begin_array();
            let (kept, inner): (fn(Value<'_>) -> bool, _) = match place {
                Place::Designations => (designation_kept, Place::Declaration),
                Place::Properties => (property_kept, Place::Verbatim),
                Place::Extensions => (extension_kept, Place::Verbatim),
                other => (|_| true, other),
            };
            for item in value.children().filter(|item| kept(*item)) {
                self.value(item, inner);
            }
            self.out.end_array();
        } else {
            self.out.raw(value.raw().as_bytes());
        }
    }

    fn object(&mut self, object: Value<'_>, place: Place) {
        self.out.begin_object();
        for member in object.children() {
            let Some(key) = member.key() else { continue };
            let extension = key == "extension" || key == "modifierExtension";
            if extension && place != Place::Verbatim {
                if member.items().any(extension_kept) {
                    self.member(&key, member, Place::Extensions);
                }
                continue;
            }
            if let Some(inner) = self.kept(place, &key, member) {
                self.member(&key, member, inner);
            }
        }
        if let Place::Root(Resource::Structure { keep_differential: false }) = place {
            self.changed(object);
        }
        self.out.end_object();
    }

    fn member(&mut self, key: &str, member: Value<'_>, place: Place) {
        let underscored_emptied = key.starts_with('_') && !member.items().any(holds_more_than_process);
        if underscored_emptied {
            return;
        }
        self.out.key_of(key);
        self.value(member, place);
    }

    /// Where a member's inside is; `None` where the member goes.
    fn kept(&self, place: Place, key: &str, member: Value<'_>) -> Option<Place> {
        let bare = key.trim_start_matches('_');
        match place {
            Place::Root(_) if PROSE.contains(&bare) => None,
            Place::Root(resource) => Slimmer::kept_at_root(resource, bare),
            Place::Element => self.kept_in_element(bare, member),
            Place::Constraint => match bare {
                "xpath" | "requirements" => None,
                "source" if member.is_str(&self.url) => None,
                _ => Some(Place::Verbatim),
            },
            Place::Concept => match bare {
                "definition" | "id" => None,
                "designation" => member.items().any(designation_kept).then_some(Place::Designations),
                "property" => member.items().any(property_kept).then_some(Place::Properties),
                "concept" => Some(Place::Concept),
                _ => Some(Place::Whole),
            },
            Place::Designations | Place::Properties | Place::Declaration => match bare {
                "documentation" | "description" | "comment" | "requirements" | "use" => {
                    // `use` is prose in a designation only; in an operation's parameter it decides.
                    (bare == "use" && member.as_str().is_some()).then_some(Place::Whole)
                }
                "concept" => Some(Place::Concept),
                _ => Some(Place::Declaration),
            },
            Place::Whole => Some(Place::Whole),
            Place::Extensions | Place::Verbatim => Some(Place::Verbatim),
        }
    }

    fn kept_at_root(resource: Resource, key: &str) -> Option<Place> {
        match (resource, key) {
            (Resource::Structure { .. }, "mapping" | "identifier" | "fhirVersion") => None,
            (Resource::Structure { keep_differential }, "differential") if !keep_differential => None,
            (Resource::Structure { .. }, "snapshot" | "differential") => Some(Place::Element),
            (Resource::CodeSystem, "concept") => Some(Place::Concept),
            (Resource::CodeSystem, "property" | "filter") => Some(Place::Declaration),
            (Resource::ValueSet, "compose") => Some(Place::Declaration),
            (Resource::Other, "xpath" | "xpathUsage" | "comment" | "usage" | "responsible") => None,
            (Resource::Other, "parameter" | "rest" | "messaging" | "document" | "resource" | "uniqueId") => {
                Some(Place::Declaration)
            }
            _ => Some(Place::Whole),
        }
    }

    fn kept_in_element(&self, key: &str, member: Value<'_>) -> Option<Place> {
        match key {
            // The `element` array of a snapshot: its items are the elements.
            "element" => Some(Place::Element),
            "definition" | "comment" | "requirements" | "alias" | "example" | "mapping" | "code"
            | "isModifierReason" | "meaningWhenMissing" | "orderMeaning" | "label" => None,
            "isModifier" | "isSummary" | "mustSupport" if member.as_bool() == Some(false) => None,
            "constraint" => Some(Place::Constraint),
            "type" | "slicing" => Some(Place::Whole),
            "binding" => Some(Place::Declaration),
            _ => Some(Place::Verbatim),
        }
    }

    /// For a profile, the ids of the elements that its differential names.
    fn changed(&mut self, structure: Value<'_>) {
        let constraint = structure.get(name::DERIVATION).is_some_and(|it| it.is_str("constraint"));
        let elements = structure.get(name::DIFFERENTIAL).and_then(|it| it.get(name::ELEMENT));
        let (true, Some(elements)) = (constraint, elements) else { return };
        self.out.key(CHANGED).begin_array();
        for id in elements.items().filter_map(|element| element.get(name::ID)) {
            self.out.raw(id.raw().as_bytes());
        }
        self.out.end_array();
    }
}

fn extension_kept(extension: Value<'_>) -> bool {
    let Some(url) = extension.str_of(name::URL) else { return true };
    KEPT_EXTENSIONS.contains(&url.as_ref())
        || !PROCESS_EXTENSIONS.iter().any(|process| url.starts_with(process))
}

/// True where the twin of a primitive holds an id or an extension that is kept.
fn holds_more_than_process(twin: Value<'_>) -> bool {
    twin.get(name::ID).is_some()
        || twin.get(name::EXTENSION).is_some_and(|list| list.items().any(extension_kept))
}

fn designation_kept(designation: Value<'_>) -> bool {
    designation.get_key("language").and_then(Value::as_str).is_some_and(|language| {
        LANGUAGES.iter().any(|kept| {
            language.strip_prefix(kept).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    })
}

/// False for concept properties that keep notes and numbers of the terminology's editors.
fn property_kept(property: Value<'_>) -> bool {
    let Some(code) = property.str_of(name::CODE) else { return true };
    !(code.starts_with("v2-")
        || matches!(code.as_ref(), "internalId" | "HL7usageNotes" | "openIssue" | "comment"))
}

#[cfg(test)]
#[path = "slim_tests.rs"]
mod tests;
