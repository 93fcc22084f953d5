//! Whose data a resource holds: R4's patient compartment, read off the definitions (FHIR R4 §5.7, §3.1.1).
//!
//! The compartment's search parameters name the elements that bring a resource to a patient. Some types that
//! R4 leaves out of the compartment also have a patient (Task, Device, Contract, GuidanceResponse): for them
//! the parameters `patient` and `subject` count. Invariant: no reference to a Patient anywhere in the resource
//! is left out; what no parameter names is [`PatientRole::Mentioned`].
//!
//! Contained resources, entries of nested Bundles and resources in Parameters are looked at with the
//! elements of their own type. Rules are compiled when a type is first met.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use fhir_models::definition::{Definitions, SearchKind};
use fhir_models::document::{Value, name};

use super::element_path::{ElementPath, element_paths};
use super::nested::{NestedResource, resources};
use super::patient_link::{PatientRole, Patients};
use super::patient_scene::{Link, Scene};

/// The compartment's parameters through which a resource is about a patient; through the others, a patient
/// only acts in it.
const ABOUT: &[&str] = &["patient", "subject", "beneficiary", "individual", "member", "actor"];
/// Of these, the ones whose elements name many, most of them no patients.
const AMONG_OTHERS: &[&str] = &["member", "actor"];

/// Types that are whosever the resources are that they refer to: only those can tell.
const FOLLOWS: &[&str] = &["AuditEvent", "Binary", "Person", "Provenance"];

/// Tells whose data a resource holds.
///
/// ```
/// use fhir_models::definition::Definitions;
/// use fhir_models::document::{Limits, Tape};
/// use varco_core::access::{PatientRole, PatientsOf};
///
/// let patients_of = PatientsOf::from_definitions(Definitions::r4());
/// let text = br#"{"resourceType":"Observation","subject":{"reference":"Patient/1"},"performer":[{"reference":"Patient/2"}]}"#;
/// let mut tape = Tape::new();
/// let patients = patients_of.of(tape.parse_json(text, &Limits::default())?.root(), &[]);
/// let roles: Vec<_> = patients.links.iter().map(|link| &link.role).collect();
/// assert_eq!(roles, [&PatientRole::Subject, &PatientRole::Participant("performer".into())]);
/// # Ok::<(), fhir_models::document::SyntaxError>(())
/// ```
#[derive(Debug)]
pub struct PatientsOf {
    definitions: Arc<Definitions>,
    rules: HashMap<Box<str>, OnceLock<TypeRules>>,
}

/// How one type is brought to patients.
#[derive(Debug, Default)]
struct TypeRules {
    /// True where every resource of the type is some patient's.
    in_compartment: bool,
    /// True where some expression is more than a path: no resource of the type can be attributed for sure.
    incomplete: bool,
    elements: Vec<Rule>,
    /// The search parameters that find the type's resources from a patient.
    found_by: Vec<Box<str>>,
}

/// One element that names patients.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    role: PatientRole,
    path: ElementPath,
    /// True where a reference that doesn't say whether it means a patient must be taken for one.
    assume: bool,
}

impl PatientsOf {
    /// By the `patient` compartment of these definitions.
    pub fn from_definitions(definitions: Arc<Definitions>) -> PatientsOf {
        let types = definitions.type_names().filter(|own| definitions.is_resource(own));
        let rules = types.map(|own| (own.into(), OnceLock::new())).collect();
        PatientsOf { definitions, rules }
    }

    /// The search parameters by which the resources of a type are found from their patient: those of R4's
    /// compartment, and where R4 leaves the type out, `patient` or else `subject`. None for a type of nobody's.
    pub fn found_by(&self, kind: &str) -> &[Box<str>] {
        let Some(rules) = self.rules.get(kind).map(|rules| rules.get_or_init(|| self.compile(kind))) else {
            return &[];
        };
        &rules.found_by
    }

    /// The patients of a resource and of everything inside it. `bases` are the base URLs of the server it
    /// comes from: absolute references below them are the server's own.
    pub fn of(&self, resource: Value<'_>, bases: &[String]) -> Patients {
        self.of_all(&resources(resource), bases)
    }

    /// The same of a list that [`resources`] made.
    pub fn of_all(&self, all: &[NestedResource<'_>], bases: &[String]) -> Patients {
        let mut found = [Patients::default()];
        self.collect(all, bases, &mut found);
        let [found] = found;
        found
    }

    /// The patients of each resource of a list that [`resources`] made, without those of the resources inside it.
    /// References between them are followed as in [`PatientsOf::of`].
    pub fn of_each(&self, all: &[NestedResource<'_>], bases: &[String]) -> Vec<Patients> {
        let mut found = vec![Patients::default(); all.len()];
        self.collect(all, bases, &mut found);
        found
    }

    /// Adds the patients of each resource in its place, or to the last of fewer places.
    fn collect(&self, all: &[NestedResource<'_>], bases: &[String], found: &mut [Patients]) {
        let mut scene = Scene::new(all, bases);
        let last = found.len().saturating_sub(1);
        for (at, own) in all.iter().enumerate() {
            if let Some(found) = found.get_mut(at.min(last)) {
                self.one(own, at, &mut scene, found);
            }
        }
        scene.mentions(found);
    }

    fn one<'a>(&self, own: &NestedResource<'a>, at: usize, scene: &mut Scene<'a, '_>, found: &mut Patients) {
        let kind = own.value.resource_type().unwrap_or_default();
        let Some(rules) = self.rules.get(&*kind).map(|rules| rules.get_or_init(|| self.compile(&kind)))
        else {
            return found.unattributed.push(own.value.id());
        };
        let mut attributed = false;
        if kind == "Patient" && !own.contained {
            found.add(scene.patient_itself(own.value));
            attributed = true;
        }
        for rule in &rules.elements {
            own.value.each(rule.path.steps(), &mut |reference| {
                attributed |= match scene.link(reference, at, &rule.role, rule.assume, found) {
                    Link::Patient => true,
                    // An Observation of a device is the device's.
                    Link::Other => rule.role == PatientRole::Subject && !FOLLOWS.contains(&&*kind),
                    Link::Unclear => false,
                };
            });
        }
        if rules.incomplete || (rules.in_compartment && !attributed && !own.contained) {
            found.unattributed.push(own.value.id());
        }
    }

    fn compile(&self, kind: &str) -> TypeRules {
        let parameters = self.definitions.search_parameters(kind);
        let compartment = self.definitions.compartment("Patient");
        let listed = compartment.as_deref().map(|own| own.parameters(kind)).unwrap_or_default();
        let mut rules = TypeRules { in_compartment: !listed.is_empty(), ..TypeRules::default() };
        // A Binary has no search parameter: its security context tells (FHIR R4 §2.45.3).
        if kind == "Binary" {
            rules.in_compartment = true;
            let context = element_paths(kind, "Binary.securityContext").paths;
            let rule = |path| Rule { role: PatientRole::Subject, path, assume: true };
            rules.elements.extend(context.into_iter().map(rule));
        }
        for parameter in parameters.iter().filter(|parameter| parameter.kind == SearchKind::Reference) {
            let code = parameter.code.as_str();
            let patients = parameter.target.iter().any(|target| target == "Patient");
            let supplied = listed.is_empty() && patients && matches!(code, "patient" | "subject");
            if !listed.iter().any(|own| own == code) && !supplied {
                continue;
            }
            if patients && !rules.found_by.iter().any(|own| **own == *code) {
                rules.found_by.push(code.into());
            }
            // A Device may well be nobody's; a Task that names no patient still is about some.
            rules.in_compartment |= supplied && kind != "Device";
            let paths = element_paths(kind, parameter.expression.as_deref().unwrap_or_default());
            rules.incomplete |= paths.unread > 0;
            for path in paths.paths {
                // The agents of an AuditEvent act; its entities are what it is about.
                let acts = path.steps().first().is_some_and(|step| *step == name::AGENT);
                let role = if ABOUT.contains(&code) && !acts {
                    PatientRole::Subject
                } else {
                    PatientRole::Participant(code.into())
                };
                let assume = role == PatientRole::Subject && !AMONG_OTHERS.contains(&code);
                let rule = Rule { role, path, assume };
                if !rules.elements.contains(&rule) {
                    rules.elements.push(rule);
                }
            }
        }
        // `subject` holds what `patient` finds.
        if listed.is_empty() && rules.found_by.len() > 1 {
            rules.found_by.retain(|own| **own == *"patient");
        }
        // The stronger role first: the same element may serve two parameters.
        rules.elements.sort_by_key(|rule| rule.role != PatientRole::Subject);
        rules
    }
}

#[cfg(test)]
#[path = "compartment_tests.rs"]
mod tests;
