//! The part of a resource that a search asks for: `_summary` and `_elements` (FHIR R4 §3.1.1.5.8, §3.1.1.5.9).
//!
//! Invariant: what is left is a resource that says it is a part: mandatory elements, `id`, `meta` and
//! `implicitRules` stay, modifiers stay, and `meta.tag` holds `SUBSETTED`. Elements of backbone elements are cut
//! like those at the root; datatypes stay whole.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use fhir_models::definition::Definitions;
use fhir_models::document::{Document, Edits, Value, name};

/// The tag of a resource of which only a part is shown (FHIR R4 §2.26.3).
const TAG: &str =
    r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;
/// Members that stay whatever is asked for.
const ALWAYS: &[&str] = &["resourceType", "id", "meta", "implicitRules"];

/// What of a resource is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept<'a> {
    /// The elements that the type marks as its summary.
    Summary,
    /// Narrative and mandatory elements.
    Narrative,
    /// Everything but the narrative.
    Data,
    /// These elements at the root, by name; a choice by its name without type.
    Elements(&'a [Box<str>]),
}

/// Which elements of one type belong to its summary, and which must stay.
#[derive(Debug, Default)]
struct Marks {
    /// Paths that are marked `isSummary`, a choice once for each of its types.
    summary: HashSet<Box<str>>,
    /// Paths at the root that are mandatory or modify the rest.
    needed: HashSet<Box<str>>,
    /// Paths that hold elements of their own.
    backbone: HashSet<Box<str>>,
    /// A choice's element, from the name that stands in JSON.
    choice: HashMap<Box<str>, Box<str>>,
}

/// Cuts resources down, by the definitions of their types, which are read when a type is first met.
#[derive(Debug)]
pub struct SummaryOf {
    definitions: Arc<Definitions>,
    marks: Mutex<HashMap<Box<str>, Arc<Marks>>>,
}

impl SummaryOf {
    /// By these definitions.
    pub fn from_definitions(definitions: Arc<Definitions>) -> SummaryOf {
        SummaryOf { definitions, marks: Mutex::new(HashMap::new()) }
    }

    /// The part of a resource that is kept. A resource of an unknown type keeps what every resource has.
    ///
    /// ```
    /// use fhir_models::definition::Definitions;
    /// use fhir_models::document::{Limits, Tape};
    /// use varco_core::access::{Kept, SummaryOf};
    ///
    /// let summary = SummaryOf::from_definitions(Definitions::r4());
    /// let text = br#"{"resourceType":"Patient","id":"1","name":[{"family":"Rossi"}],"photo":[{"title":"x"}]}"#;
    /// let mut tape = Tape::new();
    /// let part = summary.subset(tape.parse_json(text, &Limits::default())?, &Kept::Summary);
    /// let part = String::from_utf8_lossy(&part);
    /// assert!(part.contains("Rossi") && part.contains("SUBSETTED") && !part.contains("photo"), "{part}");
    /// # Ok::<(), fhir_models::document::SyntaxError>(())
    /// ```
    pub fn subset(&self, document: Document<'_>, kept: &Kept<'_>) -> Vec<u8> {
        let root = document.root();
        let kind = root.resource_type().unwrap_or_default();
        let marks = self.marks(&kind);
        let mut edits = Edits::new(document);
        for member in root.children() {
            let Some(key) = member.key() else { continue };
            let key = key.strip_prefix('_').unwrap_or(&key);
            let choice = marks.choice.get(key).map_or(key, |choice| &**choice);
            let needed = ALWAYS.contains(&key) || marks.needed.contains(key);
            let stays = match kept {
                Kept::Summary => needed || marks.summary.contains(key),
                Kept::Narrative => needed || key == "text",
                Kept::Data => key != "text",
                Kept::Elements(names) => {
                    needed || names.iter().any(|name| **name == *key || **name == *choice)
                }
            };
            if !stays {
                edits.remove(member);
            } else if *kept == Kept::Summary && marks.backbone.contains(key) {
                cut_backbone(member, key, &marks, &mut edits);
            }
        }
        tag(root, &mut edits);
        edits.apply()
    }

    fn marks(&self, kind: &str) -> Arc<Marks> {
        let mut all = self.marks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = all.get(kind) {
            return Arc::clone(known);
        }
        let marks = Arc::new(self.read(kind));
        if self.definitions.is_resource(kind) {
            all.insert(kind.into(), Arc::clone(&marks));
        }
        marks
    }

    fn read(&self, kind: &str) -> Marks {
        let mut marks = Marks::default();
        let canonical = format!("http://hl7.org/fhir/StructureDefinition/{kind}");
        let Some(structure) = self.definitions.structure(&canonical) else { return marks };
        for element in &structure.elements {
            let Some(path) = element.path.strip_prefix(kind).and_then(|rest| rest.strip_prefix('.')) else {
                continue;
            };
            let names: Vec<String> = match path.strip_suffix("[x]") {
                Some(stem) => {
                    element.types.iter().map(|own| format!("{stem}{}", capital(&own.code))).collect()
                }
                None => vec![path.to_owned()],
            };
            let holds = |own: &str| matches!(own, "BackboneElement" | "Element");
            for name in names {
                if let Some(stem) = path.strip_suffix("[x]") {
                    marks.choice.insert(name.as_str().into(), stem.into());
                }
                if !name.contains('.') && (element.least() > 0 || element.is_modifier) {
                    marks.needed.insert(name.as_str().into());
                }
                if element.types.iter().any(|own| holds(&own.code)) {
                    marks.backbone.insert(name.as_str().into());
                }
                // Inside a backbone element what is mandatory or modifies stays with it.
                if element.is_summary || (name.contains('.') && (element.least() > 0 || element.is_modifier))
                {
                    marks.summary.insert(name.into());
                }
            }
        }
        marks
    }
}

fn cut_backbone<'a>(member: Value<'a>, path: &str, marks: &Marks, edits: &mut Edits<'a>) {
    for item in member.items() {
        for child in item.children() {
            let Some(key) = child.key() else { continue };
            let key = key.strip_prefix('_').unwrap_or(&key);
            let below = format!("{path}.{key}");
            if key != "id" && !marks.summary.contains(below.as_str()) {
                edits.remove(child);
            } else if marks.backbone.contains(below.as_str()) {
                cut_backbone(child, &below, marks, edits);
            }
        }
    }
}

fn tag(root: Value<'_>, edits: &mut Edits<'_>) {
    let meta = root.get(name::META).filter(|meta| meta.is_object());
    let Some(meta) = meta else {
        if root.get(name::META).is_none() {
            edits.append(root, format!("\"meta\":{{\"tag\":[{TAG}]}}").as_bytes());
        }
        return;
    };
    match meta.get_key("tag").filter(|tag| tag.is_array()) {
        Some(tags) => edits.append(tags, TAG.as_bytes()),
        None => edits.append(meta, format!("\"tag\":[{TAG}]").as_bytes()),
    }
}

pub(super) fn capital(code: &str) -> String {
    let mut letters = code.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fhir_models::document::{Limits, OwnedDocument};

    const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"o","meta":{"versionId":"1","tag":[{"code":"x"}]},
        "text":{"status":"generated","div":"<div/>"},"status":"final","_status":{"id":"s"},"code":{"text":"c"},
        "valueInteger":15,"note":[{"text":"n"}],"bodySite":{"text":"b"},
        "component":[{"code":{"text":"d"},"valueString":"v","interpretation":[{"text":"i"}]}]}"#;

    fn keys(text: &str, kept: &Kept<'_>) -> Vec<String> {
        let summary = SummaryOf::from_definitions(Definitions::r4());
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        let part = summary.subset(document.document(), kept);
        let part = OwnedDocument::parse_json(part, &Limits::default()).unwrap();
        assert!(part.text().contains("SUBSETTED"));
        part.root().children().filter_map(|member| Some(member.key()?.into_owned())).collect()
    }

    #[test]
    fn a_summary_holds_what_the_type_marks() {
        let found = keys(OBSERVATION, &Kept::Summary);
        for kept in ["resourceType", "id", "meta", "status", "_status", "code", "valueInteger", "component"] {
            assert!(found.iter().any(|key| key == kept), "{kept}: {found:?}");
        }
        for gone in ["text", "note", "bodySite"] {
            assert!(!found.iter().any(|key| key == gone), "{gone}: {found:?}");
        }
    }

    #[test]
    fn elements_are_kept_by_name_with_what_is_mandatory() {
        let names: Vec<Box<str>> = vec!["value".into(), "note".into()];
        let found = keys(OBSERVATION, &Kept::Elements(&names));
        let expected = ["resourceType", "id", "meta", "status", "_status", "code", "valueInteger", "note"];
        assert_eq!(found, expected);
    }

    #[test]
    fn text_and_data_exclude_each_other() {
        assert_eq!(
            keys(OBSERVATION, &Kept::Narrative),
            ["resourceType", "id", "meta", "text", "status", "_status", "code"]
        );
        let data = keys(OBSERVATION, &Kept::Data);
        assert!(!data.contains(&"text".to_owned()) && data.contains(&"component".to_owned()));
    }

    #[test]
    fn a_resource_without_meta_gets_its_tag() {
        assert_eq!(keys(r#"{"resourceType":"Nothing","x":1}"#, &Kept::Summary), ["resourceType", "meta"]);
    }
}
