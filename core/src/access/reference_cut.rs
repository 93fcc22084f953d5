//! Taking references away so that a resource is left.
//!
//! One of several goes; one that may be missing goes; one that may not is replaced by a Reference that says that its
//! value is not known (extension `data-absent-reason`, which cardinality and `ele-1` are content with). The reason
//! is always `unknown`: `masked` would tell a hidden resource from an absent one.

use std::borrow::Cow;
use std::collections::BTreeSet;

use fhir_models::document::{Document, Edits, NodeId, Value, name};

use super::cut::{cut_sections, is, narratives, own_values};
use super::necessary::Necessary;
use super::nested::resources;

/// In the place of a mandatory Reference or Attachment.
const ABSENT: &str = r#"{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}"#;

/// What has a `url` and is no Attachment.
const NO_ATTACHMENTS: &[&str] =
    &["extension", "modifierExtension", "link", "request", "implementation", "relatedArtifact", "software"];

/// What becomes of one Reference or Attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceFate {
    /// It stays.
    Keep,
    /// It stays without what it says about where it leads: `display`, `identifier`, an Attachment's `title`.
    Bare,
    /// It stays without its address. Of an Attachment, that is its `url`.
    Unaddressed,
    /// It goes.
    Cut,
}

/// Cuts references and attachments; nothing where all stay. `fate` is asked with what each leads to, and true for an
/// Attachment. Where one is bared or cut, every narrative goes, and so do sections of a Composition that are left
/// without content.
pub fn cut_references(
    document: Document<'_>,
    necessary: &Necessary,
    mut fate: impl FnMut(&str, bool) -> ReferenceFate,
) -> Option<Vec<u8>> {
    let all = resources(document.root());
    let mut edits = Edits::new(document);
    let mut cutting = Cutting::new(document, necessary);
    let mut tells = false;
    for (at, own) in all.iter().enumerate() {
        let kind = own.value.resource_type().unwrap_or_default();
        for value in own_values(&all, at) {
            let Some(text) = cutting.named_by(value) else { continue };
            let attached = value.get(name::REFERENCE).is_none();
            let fate = fate(&text, attached);
            tells |= matches!(fate, ReferenceFate::Bare | ReferenceFate::Cut);
            match fate {
                ReferenceFate::Keep => {}
                ReferenceFate::Cut => cutting.cut(value, own.value, &kind),
                ReferenceFate::Bare => strip(value, &["display", "identifier", "title"], &mut edits),
                ReferenceFate::Unaddressed => {
                    let address: &[&str] = if attached { &["url"] } else { &["reference"] };
                    let addresses =
                        |member: &Value<'_>| member.key().is_some_and(|key| is_one(&key, address));
                    if value.children().all(|member| addresses(&member)) {
                        cutting.cut(value, own.value, &kind);
                    } else {
                        strip(value, address, &mut edits);
                    }
                }
            }
        }
    }
    let gone = cutting.apply(&mut edits);
    if edits.is_empty() {
        return None;
    }
    if tells {
        for own in all.iter().filter(|own| is(own.value, "Composition")) {
            cut_sections(own.value, &gone, &mut edits);
        }
        narratives(document.root()).for_each(|text| edits.remove(text));
    }
    Some(edits.apply())
}

fn is_one(key: &str, names: &[&str]) -> bool {
    names.contains(&key.strip_prefix('_').unwrap_or(key))
}

fn strip(value: Value<'_>, names: &[&str], edits: &mut Edits<'_>) {
    let named = |member: &Value<'_>| member.key().is_some_and(|key| is_one(&key, names));
    value.children().filter(named).for_each(|member| edits.remove(member));
}

/// References of a document that go.
pub(super) struct Cutting<'a, 'n> {
    document: Document<'a>,
    necessary: &'n Necessary,
    parents: Option<Vec<NodeId>>,
    /// The Reference, and whether it must be there.
    going: Vec<(Value<'a>, bool)>,
}

impl<'a, 'n> Cutting<'a, 'n> {
    pub(super) fn new(document: Document<'a>, necessary: &'n Necessary) -> Cutting<'a, 'n> {
        Cutting { document, necessary, parents: None, going: Vec::new() }
    }

    /// What a Reference or Attachment refers to: the text of its `reference`, or of its `url`.
    pub(super) fn named_by(&mut self, value: Value<'a>) -> Option<Cow<'a, str>> {
        if !value.is_object() {
            return None;
        }
        match value.get(name::REFERENCE) {
            Some(reference) => reference.as_str(),
            None => self.attachment_url(value),
        }
    }

    /// The `url` of an Attachment. Other things have a `url` as well: extensions, links, requests, definitions.
    pub(super) fn attachment_url(&mut self, value: Value<'a>) -> Option<Cow<'a, str>> {
        let url = value.get(name::URL)?.as_str()?;
        let under = match value.key() {
            Some(key) => key,
            None => self.parent(value)?.key()?,
        };
        let other = NO_ATTACHMENTS.contains(&&*under) || value.get(name::RESOURCE_TYPE).is_some();
        (!other).then_some(url)
    }

    /// Takes a Reference or Attachment of a resource.
    pub(super) fn cut(&mut self, value: Value<'a>, resource: Value<'_>, kind: &str) {
        let path = self.path(value, resource);
        let mandatory = self.necessary.is_mandatory(kind, &path);
        self.going.push((value, mandatory));
    }

    /// Makes the edits; gives the places of what goes or is replaced.
    pub(super) fn apply(mut self, edits: &mut Edits<'a>) -> BTreeSet<usize> {
        let gone: BTreeSet<usize> = self.going.iter().map(|(value, _)| value.id().index()).collect();
        for (value, mandatory) in std::mem::take(&mut self.going) {
            let parent = self.parent(value);
            let among = parent.filter(|parent| parent.is_array());
            let others =
                among.is_some_and(|array| array.children().any(|item| !gone.contains(&item.id().index())));
            if others || !mandatory {
                edits.remove(self.carrier(value));
            } else {
                edits.replace(value, ABSENT);
            }
        }
        gone
    }

    /// An extension goes as a whole: without its value it would be none.
    fn carrier(&mut self, value: Value<'a>) -> Value<'a> {
        let Some(parent) = self.parent(value).filter(|parent| parent.is_object()) else { return value };
        let is_value = value.key().is_some_and(|key| key.starts_with("value"));
        let array = self.parent(parent).and_then(Value::key);
        match array.as_deref() {
            Some("extension" | "modifierExtension") if is_value => parent,
            _ => value,
        }
    }

    fn parent(&mut self, value: Value<'a>) -> Option<Value<'a>> {
        let document = self.document;
        let parents = self.parents.get_or_insert_with(|| document.parents());
        let parent = parents.get(value.id().index()).copied()?;
        (value.id() != NodeId::ROOT).then(|| document.value(parent)).flatten()
    }

    /// `diagnosis.condition`: the names from a resource to a value in it.
    fn path(&mut self, value: Value<'a>, resource: Value<'_>) -> String {
        let mut names: Vec<String> = Vec::new();
        let mut at = Some(value);
        while let Some(value) = at.filter(|value| value.id() != resource.id()) {
            names.extend(value.key().map(Cow::into_owned));
            at = self.parent(value);
        }
        names.reverse();
        names.join(".")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::LazyLock;

    use fhir_models::definition::Definitions;
    use fhir_models::document::{Limits, OwnedDocument};

    use super::*;

    static NECESSARY: LazyLock<Necessary> = LazyLock::new(|| Necessary::from_definitions(Definitions::r4()));

    fn after(text: &str, fate: ReferenceFate) -> Option<String> {
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        let decide = |to: &str, _: bool| if to.contains("/h") { fate } else { ReferenceFate::Keep };
        let json = cut_references(document.document(), &NECESSARY, decide)?;
        Some(String::from_utf8(json).unwrap())
    }

    const ENCOUNTER: &str = r#"{"resourceType":"Encounter","text":{"div":"<div/>"},"subject":{"reference":"Patient/a"},"appointment":[{"reference":"Appointment/h1"}],"diagnosis":[{"condition":{"reference":"Condition/h","display":"HIV","identifier":{"value":"x"}},"rank":1},{"condition":{"reference":"Condition/c"}}]}"#;

    #[test]
    fn a_reference_that_may_be_missing_goes_and_another_says_nothing() {
        assert_eq!(
            after(ENCOUNTER, ReferenceFate::Cut).unwrap(),
            r#"{"resourceType":"Encounter","subject":{"reference":"Patient/a"},"diagnosis":[{"condition":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]},"rank":1},{"condition":{"reference":"Condition/c"}}]}"#
        );
        assert_eq!(after(ENCOUNTER, ReferenceFate::Keep), None);
    }

    #[test]
    fn a_bare_reference_says_where_it_leads_and_nothing_else() {
        let bare = after(ENCOUNTER, ReferenceFate::Bare).unwrap();
        assert!(bare.contains(r#"{"condition":{"reference":"Condition/h"},"rank":1}"#), "{bare}");
        assert!(!bare.contains("HIV") && !bare.contains("div"), "{bare}");
    }

    #[test]
    fn a_mandatory_list_keeps_one_that_says_nothing() {
        let provenance = r#"{"resourceType":"Provenance","target":[{"reference":"Condition/h"}]}"#;
        assert!(after(provenance, ReferenceFate::Cut).unwrap().contains(r#""target":[{"extension":"#));
        let two = r#"{"resourceType":"Provenance","target":[{"reference":"Condition/h"},{"reference":"Condition/c"}]}"#;
        assert_eq!(
            after(two, ReferenceFate::Cut).unwrap(),
            r#"{"resourceType":"Provenance","target":[{"reference":"Condition/c"}]}"#
        );
    }

    #[test]
    fn attachments_are_told_from_other_things_with_a_url() {
        let text = r#"{"resourceType":"DocumentReference","extension":[{"url":"urn:x/h","valueUrl":"urn:y/h"}],"text":{"div":"<div/>"},"content":[{"attachment":{"title":"t","url":"https://elsewhere.example/h"}},{"attachment":{"url":"https://elsewhere.example/h"}}]}"#;
        assert_eq!(
            after(text, ReferenceFate::Unaddressed).unwrap(),
            r#"{"resourceType":"DocumentReference","extension":[{"url":"urn:x/h","valueUrl":"urn:y/h"}],"text":{"div":"<div/>"},"content":[{"attachment":{"title":"t"}},{"attachment":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}}]}"#
        );
    }
}
