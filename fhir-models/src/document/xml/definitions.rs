//! The schema that the definitions give.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::schema::{Child, Content, Schema, Shape};
use crate::definition::{Definitions, ElementDefinition, StructureDefinition, StructureKind, choice_name};
use crate::document::{Kind, Name};
use crate::primitive::Primitive;

/// What XML needs to know, by the definitions in force: made once, used by many threads.
///
/// A type is read when a document first holds it; after that an answer is two table lookups. Names outside
/// the list of FHIR's names ([`Name`]) are not known, whatever packages define.
#[derive(Debug)]
pub struct DefinitionSchema {
    definitions: Arc<Definitions>,
    types: Box<[OnceLock<Option<Forms>>]>,
}

/// The forms of one type: the type itself, then its nested elements.
type Forms = Box<[Form]>;

/// What may stand in an object, by rising name.
type Form = Box<[(Name, Child)]>;

impl DefinitionSchema {
    /// A schema of these definitions. Nothing is read yet.
    pub fn new(definitions: Arc<Definitions>) -> DefinitionSchema {
        let types = (0..Name::count()).map(|_| OnceLock::new()).collect();
        DefinitionSchema { definitions, types }
    }

    fn forms(&self, type_name: Name) -> Option<&Forms> {
        let slot = self.types.get(type_name.index()).filter(|_| type_name != Name::UNKNOWN)?;
        let read = || {
            let structure = self.definitions.structure(type_name.text())?;
            structure.is_type().then(|| self.read(type_name, &structure))
        };
        slot.get_or_init(read).as_ref()
    }

    fn read(&self, type_name: Name, structure: &StructureDefinition) -> Forms {
        let mut parts: HashMap<&str, u16> = HashMap::new();
        for (at, element) in structure.elements.iter().enumerate() {
            let below = element.path.rsplit_once('.').map(|(parent, _)| parent);
            let next = parts.len() as u16;
            if at == 0 {
                parts.insert(&element.path, 0);
            } else if let Some(parent) = below {
                parts.entry(parent).or_insert(next);
            }
        }
        let mut forms: Vec<Vec<(Name, Child)>> = vec![Vec::new(); parts.len()];
        for (order, element) in structure.elements.iter().enumerate().skip(1) {
            let below = element.path.rsplit_once('.').and_then(|(parent, _)| parts.get(parent));
            let form = below.and_then(|part| forms.get_mut(usize::from(*part)));
            let Some(form) = form else { continue };
            let order = u16::try_from(order).unwrap_or(u16::MAX);
            let child = |content| Child {
                content,
                repeats: element.is_array(),
                attribute: element.xml_attribute,
                order,
            };
            let nested = element.content_reference.as_deref().and_then(|it| it.split_once('#'));
            let nested = nested.map_or(element.path.as_str(), |(_, id)| id);
            if let Some(part) = parts.get(nested) {
                form.push((
                    Name::of(element.tail()),
                    child(Content::Complex(Shape { type_name, part: *part })),
                ));
                continue;
            }
            for (name, code) in names(element) {
                if let Some(content) = self.content(code) {
                    form.push((Name::of(&name), child(content)));
                }
            }
        }
        let sorted = forms.into_iter().map(|mut form| {
            form.retain(|(name, _)| *name != Name::UNKNOWN);
            form.sort_by_key(|(name, _)| *name);
            form.into_boxed_slice()
        });
        sorted.collect()
    }

    fn content(&self, code: &str) -> Option<Content> {
        if code == "xhtml" {
            return Some(Content::Xhtml);
        }
        match self.definitions.type_kind(code)? {
            StructureKind::PrimitiveType => {
                Some(Content::Primitive(Primitive::of_type(code).map_or(Kind::String, Primitive::json_kind)))
            }
            StructureKind::Resource => Some(Content::Resource),
            StructureKind::ComplexType | StructureKind::Logical => {
                Some(Content::Complex(Shape { type_name: Name::of(code), part: 0 }))
            }
        }
    }
}

/// The names that an element has in instances, each with the code of its type.
fn names(element: &ElementDefinition) -> Vec<(String, &str)> {
    let tail = element.tail();
    let name = |code: &str| match tail.strip_suffix("[x]") {
        Some(stem) => choice_name(stem, code),
        None => tail.to_owned(),
    };
    element.types.iter().map(|it| (name(&it.code), it.code.as_str())).collect()
}

impl Schema for DefinitionSchema {
    fn shape(&self, type_name: Name) -> Option<Shape> {
        self.forms(type_name).map(|_| Shape { type_name, part: 0 })
    }

    fn child(&self, shape: Shape, name: Name) -> Option<Child> {
        let form = self.forms(shape.type_name)?.get(usize::from(shape.part))?;
        let at = form.binary_search_by_key(&name, |(own, _)| *own).ok()?;
        form.get(at).map(|(_, child)| *child)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn child(schema: &DefinitionSchema, type_name: &str, path: &[&str]) -> Option<Child> {
        let mut shape = schema.shape(Name::of(type_name));
        let mut found = None;
        for name in path {
            found = schema.child(shape?, Name::of(name));
            shape = match found?.content {
                Content::Complex(shape) => Some(shape),
                _ => None,
            };
        }
        found
    }

    #[test]
    fn the_forms_of_r4_are_known() {
        let schema = DefinitionSchema::new(Definitions::r4());
        let find = |type_name: &str, path: &[&str]| child(&schema, type_name, path);
        let given = find("Patient", &["name", "given"]).unwrap();
        assert!(given.repeats && given.content == Content::Primitive(Kind::String));
        let gender = find("Patient", &["gender"]).unwrap();
        assert!(!gender.repeats && !gender.attribute);
        assert_eq!(find("Patient", &["active"]).unwrap().content, Content::Primitive(Kind::Boolean));
        assert_eq!(
            find("Patient", &["multipleBirthInteger"]).unwrap().content,
            Content::Primitive(Kind::Number)
        );
        assert_eq!(find("Patient", &["contained"]).unwrap().content, Content::Resource);
        assert_eq!(find("Patient", &["text", "div"]).unwrap().content, Content::Xhtml);
        assert!(find("Patient", &["contact", "name", "family"]).is_some());
        assert!(find("Patient", &["name", "id"]).unwrap().attribute);
        assert!(!find("Patient", &["id"]).unwrap().attribute);
        assert!(find("Patient", &["extension", "url"]).unwrap().attribute);
        assert!(find("Bundle", &["entry", "link", "relation"]).is_some());
        assert!(find("Questionnaire", &["item", "item", "item", "linkId"]).is_some());
        assert_eq!(
            find("Observation", &["valueQuantity", "unit"]).unwrap().content,
            Content::Primitive(Kind::String)
        );
        assert!(find("Observation", &["value"]).is_none());
        assert!(find("Patient", &["nessuno"]).is_none());
        assert!(schema.shape(Name::of("Nessuno")).is_none());
    }

    #[test]
    fn the_types_of_a_choice_share_their_place() {
        let schema = DefinitionSchema::new(Definitions::r4());
        let order = |name: &str| child(&schema, "Observation", &[name]).unwrap().order;
        assert_eq!(order("valueQuantity"), order("valueString"));
        assert!(order("status") < order("valueQuantity") && order("valueQuantity") < order("note"));
    }
}
