//! Which elements a resource can't do without: mandatory ones, and those that change what the rest means.
//!
//! What is cut out of a resource must leave a resource: FHIR R4 §2.1.0.4 (cardinality), §2.3.1 (modifiers).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use fhir_models::definition::Definitions;

/// Tells by the definitions of a type, which are read when it is first met.
#[derive(Debug)]
pub struct Necessary {
    definitions: Arc<Definitions>,
    types: Mutex<HashMap<Box<str>, Arc<Elements>>>,
}

/// Paths below the type's name, a choice once for each of its types.
#[derive(Debug, Default)]
struct Elements {
    mandatory: HashSet<Box<str>>,
    modifiers: HashSet<Box<str>>,
    /// What stands below a path: a type, and the path in it.
    below: HashMap<Box<str>, (Box<str>, Box<str>)>,
}

impl Necessary {
    /// By these definitions.
    pub fn from_definitions(definitions: Arc<Definitions>) -> Necessary {
        Necessary { definitions, types: Mutex::new(HashMap::new()) }
    }

    /// True where an element of a type must be there: `diagnosis.condition` in an Encounter. Elements of
    /// datatypes and of types that the definitions don't know are not.
    ///
    /// ```
    /// use fhir_models::definition::Definitions;
    /// use varco_core::access::Necessary;
    ///
    /// let necessary = Necessary::from_definitions(Definitions::r4());
    /// assert!(necessary.is_mandatory("Encounter", "diagnosis.condition"));
    /// assert!(!necessary.is_mandatory("Encounter", "diagnosis"));
    /// assert!(necessary.is_mandatory("MedicationStatement", "medicationReference"));
    /// assert!(necessary.is_modifier("AllergyIntolerance", "verificationStatus"));
    /// ```
    pub fn is_mandatory(&self, kind: &str, path: &str) -> bool {
        self.elements(kind).mandatory.contains(path)
    }

    /// True where an element of a type may change what the rest means.
    pub fn is_modifier(&self, kind: &str, path: &str) -> bool {
        self.elements(kind).modifiers.contains(path)
    }

    /// True where a type can do without the element that these names lead to, through datatypes as well; with `one`,
    /// without one of several that stand there. It can't where that changes what the rest means, where it is the
    /// `id` or `meta` of the resource, and where the definitions don't know it.
    pub fn can_do_without(&self, kind: &str, names: &[String], one: bool) -> bool {
        if names.first().is_none_or(|name| matches!(name.as_str(), "id" | "meta" | "resourceType")) {
            return false;
        }
        let (mut kind, mut path): (Box<str>, String) = (kind.into(), String::new());
        for (at, name) in names.iter().enumerate() {
            let elements = self.elements(&kind);
            let dot = if path.is_empty() { "" } else { "." };
            path = format!("{path}{dot}{name}");
            let Some((next, below)) = elements.below.get(path.as_str()) else { return false };
            if elements.modifiers.contains(path.as_str()) {
                return false;
            }
            if at + 1 == names.len() {
                return one || !elements.mandatory.contains(path.as_str());
            }
            (kind, path) = (next.clone(), below.to_string());
        }
        false
    }

    fn elements(&self, kind: &str) -> Arc<Elements> {
        let mut types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = types.get(kind) {
            return Arc::clone(known);
        }
        let read = Arc::new(self.read(kind));
        if !read.below.is_empty() {
            types.insert(kind.into(), Arc::clone(&read));
        }
        read
    }

    fn read(&self, kind: &str) -> Elements {
        let mut elements = Elements::default();
        let canonical = format!("http://hl7.org/fhir/StructureDefinition/{kind}");
        let Some(structure) = self.definitions.structure(&canonical) else { return elements };
        for element in &structure.elements {
            let Some(path) = element.path.strip_prefix(kind).and_then(|rest| rest.strip_prefix('.')) else {
                continue;
            };
            let types = element.types.iter().map(|own| own.code.as_str());
            let names: Vec<(String, &str)> = match path.strip_suffix("[x]") {
                Some(stem) => {
                    types.map(|own| (format!("{stem}{}", super::subset::capital(own)), own)).collect()
                }
                None => vec![(path.to_owned(), types.into_iter().next().unwrap_or_default())],
            };
            for (name, of) in names {
                let again = element.content_reference.as_deref().and_then(|to| to.rsplit_once('#'));
                let again = again.and_then(|(_, to)| to.strip_prefix(kind)?.strip_prefix('.'));
                let below: (&str, &str) = match (again, of) {
                    (Some(again), _) => (kind, again),
                    (None, "BackboneElement" | "Element") => (kind, &name),
                    (None, of) => (of, ""),
                };
                elements.below.insert(name.as_str().into(), (below.0.into(), below.1.into()));
                if element.least() > 0 {
                    elements.mandatory.insert(name.as_str().into());
                }
                if element.is_modifier {
                    elements.modifiers.insert(name.into());
                }
            }
        }
        elements
    }
}
