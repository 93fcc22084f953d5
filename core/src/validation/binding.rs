//! Required bindings: a coded element's code comes from its value set (FHIR R4 §4.1.5).
//!
//! The value set answers member, not member or unknown. Unknown, for want of a code system or of the value
//! set itself, is counted and never an error: only what is known to be wrong is called wrong.

use std::sync::{Arc, OnceLock};

use fhir_models::definition::{BindingStrength, Definitions, ValueSet};
use fhir_models::document::{Name, Value, name};
use fhir_models::primitive::Primitive;

use crate::outcome::{IssueSeverity, IssueType};
use crate::terminology::{Code, Codes, Membership};

use super::finding::{Fault, Rule};
use super::memo::Memo;
use super::shape::Content;
use super::walk::{Place, Walk};

/// Most codes that a message lists.
const LISTED: usize = 12;

/// A binding. Its value set is read when a code first asks for it.
#[derive(Debug)]
pub(super) struct BindingRule {
    canonical: Box<str>,
    strength: BindingStrength,
    found: OnceLock<Option<Arc<ValueSet>>>,
    /// Codes of the value set that were met: system, empty for a bare code, and code.
    met: Memo<2, ()>,
    /// The value set that bounds an extensible or preferred binding.
    limit: Option<Box<BindingRule>>,
    /// Bindings beside this one.
    additional: Box<[BindingRule]>,
}

impl BindingRule {
    /// A required binding.
    pub fn new(canonical: &str) -> BindingRule {
        BindingRule::of(canonical, BindingStrength::Required, None)
    }

    /// The bound of a weaker binding: codes are of this value set, but there need be none.
    pub fn bound(canonical: &str) -> BindingRule {
        BindingRule::of(canonical, BindingStrength::Extensible, None)
    }

    /// A binding of any strength, with the value set that bounds it.
    pub fn of(canonical: &str, strength: BindingStrength, limit: Option<&str>) -> BindingRule {
        BindingRule {
            canonical: canonical.into(),
            strength,
            found: OnceLock::new(),
            met: Memo::new(64),
            limit: limit.map(|limit| Box::new(BindingRule::new(limit))),
            additional: Box::default(),
        }
    }

    /// The same with further bindings: their codes are asked for too.
    #[must_use]
    pub fn with_additional(mut self, additional: Vec<BindingRule>) -> BindingRule {
        self.additional = additional.into();
        self
    }

    /// The bindings beside this one.
    pub fn additional(&self) -> &[BindingRule] {
        &self.additional
    }

    /// True where the binding itself asks something of an instance.
    pub fn is_binding(&self) -> bool {
        let strong = matches!(self.strength, BindingStrength::Required | BindingStrength::Extensible);
        !self.canonical.is_empty() && (strong || self.limit.is_some())
    }

    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    pub fn strength(&self) -> BindingStrength {
        self.strength
    }

    fn value_set(&self, definitions: &Definitions) -> Option<&ValueSet> {
        self.found.get_or_init(|| definitions.value_set(&self.canonical)).as_deref()
    }

    /// Whether the code of a value is in the set; `None` where the value has no code. `type_name` is empty
    /// where the type isn't known: then the members tell.
    pub fn answer(&self, codes: &Codes<'_>, type_name: &str, value: Value<'_>) -> Option<Membership> {
        if let Some(code) = value.as_str() {
            return Some(self.membership(codes, Code::bare(&code)));
        }
        let known = match type_name {
            "Coding" | "CodeableConcept" | "Quantity" => Name::of(type_name),
            _ if value.get(name::CODING).is_some() || value.get(name::TEXT).is_some() => {
                Name::of("CodeableConcept")
            }
            _ => Name::of("Coding"),
        };
        match self.complex(codes, known, value) {
            Answer::Known(answer) => Some(answer),
            Answer::NoCode | Answer::Silent => None,
        }
    }

    /// The same for the value set that bounds the binding.
    pub fn limit_answer(&self, codes: &Codes<'_>, type_name: &str, value: Value<'_>) -> Option<Membership> {
        self.limit.as_ref().and_then(|limit| limit.answer(codes, type_name, value))
    }

    fn membership(&self, codes: &Codes<'_>, code: Code<'_>) -> Membership {
        codes.in_value_set(self.value_set(codes.definitions()), &self.canonical, code)
    }

    fn complex(&self, codes: &Codes<'_>, type_name: Name, value: Value<'_>) -> Answer {
        match type_name.text() {
            "CodeableConcept" => {
                let codings = value.get(name::CODING).into_iter().flat_map(Value::items);
                let mut answer = None;
                for coding in codings {
                    match (self.coded(codes, coding), answer) {
                        (Some(Membership::Member), _) => return Answer::Known(Membership::Member),
                        (Some(Membership::NotMember), None) => answer = Some(Membership::NotMember),
                        (Some(Membership::Unknown), _) => answer = Some(Membership::Unknown),
                        _ => {}
                    }
                }
                answer.map_or(Answer::NoCode, Answer::Known)
            }
            "Coding" => self.coded(codes, value).map_or(Answer::NoCode, Answer::Known),
            // A quantity may stand without a coded unit.
            _ => self.coded(codes, value).map_or(Answer::Silent, Answer::Known),
        }
    }

    /// Whether the `system` and `code` of a Coding or Quantity are in the set; `None` without a code.
    fn coded(&self, codes: &Codes<'_>, value: Value<'_>) -> Option<Membership> {
        let code = value.str_of(name::CODE)?;
        // Without its system a code means nothing: it may be the right one.
        let Some(system) = value.str_of(name::SYSTEM) else { return Some(Membership::Unknown) };
        let version = value.str_of(name::VERSION);
        let code = Code { system: Some(&system), version: version.as_deref(), code: &code };
        Some(self.membership(codes, code))
    }

    /// True where the value has a code of the set.
    pub fn admits(&self, codes: &Codes<'_>, value: Value<'_>) -> bool {
        self.answer(codes, "", value) == Some(Membership::Member)
    }
}

/// True for a coded value that has no code: a CodeableConcept or Coding without one.
pub(super) fn wants_code(value: Value<'_>) -> bool {
    value.is_object() && value.get(name::VALUE).is_none()
}

/// What an element with a binding says.
enum Answer {
    Known(Membership),
    /// No code where one is required.
    NoCode,
    /// Nothing that a binding applies to.
    Silent,
}

/// True for content that a binding applies to (FHIR R4 §4.1.5: bindable types).
pub(super) fn is_bindable(content: Content) -> bool {
    match content {
        Content::Primitive(primitive) => {
            matches!(primitive, Primitive::Code | Primitive::String | Primitive::Uri | Primitive::Canonical)
        }
        Content::Type(name) => {
            matches!(
                name.text(),
                "Coding" | "CodeableConcept" | "Quantity" | "Age" | "Count" | "Distance" | "Duration"
            )
        }
        _ => false,
    }
}

/// Checks a value whose form is right against its binding.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>, place: Place<'_>) {
    let Some(rule) = place.shape.element(place.entry).and_then(|element| element.binding.as_ref()) else {
        return;
    };
    let plain = plain_code(place.entry.content, value);
    if plain.is_some_and(|key| rule.met.get(key).is_some()) {
        return;
    }
    let answer = match place.entry.content {
        Content::Primitive(_) => match value.as_str() {
            Some(code) => Answer::Known(rule.membership(&walk.codes, Code::bare(&code))),
            None => Answer::Silent,
        },
        Content::Type(type_name) => rule.complex(&walk.codes, type_name, value),
        _ => Answer::Silent,
    };
    match answer {
        Answer::Silent => {}
        Answer::Known(Membership::Member) => {
            // What a server says may change.
            if let (Some(key), None) = (plain, walk.codes.answers()) {
                rule.met.keep(key, ());
            }
        }
        Answer::Known(Membership::Unknown) => walk.unknown_code(value, rule.canonical()),
        Answer::Known(Membership::NotMember) => {
            let mut fault = fault(rule, walk.codes.definitions(), "the code is not in");
            if rule.strength != BindingStrength::Required && value.is_object() {
                // Published data take languages from other code systems.
                fault.severity = IssueSeverity::Warning;
            }
            walk.report(value, value, fault);
        }
        Answer::NoCode if rule.strength != BindingStrength::Required => {}
        Answer::NoCode => {
            let message = "a code is required here, from";
            walk.report(value, value, fault(rule, walk.codes.definitions(), message));
        }
    }
}

/// System and code of a value that has just one code, written without escapes.
fn plain_code(content: Content, value: Value<'_>) -> Option<[&str; 2]> {
    let coding = match content {
        Content::Primitive(_) => return Some(["", value.as_plain_str()?]),
        Content::Type(_) => match value.get(name::CODING) {
            None => value,
            Some(codings) => {
                let mut codings = codings.items();
                codings.next().filter(|_| codings.next().is_none())?
            }
        },
        _ => return None,
    };
    let [system, code] = coding.plain_texts([name::SYSTEM, name::CODE])?;
    (!system.is_empty() && !code.is_empty()).then_some([system, code])
}

#[cold]
fn fault(rule: &BindingRule, definitions: &Definitions, what: &str) -> Fault {
    let mut message = format!("{what} the value set {}, which is required", rule.canonical);
    if let Some(codes) = rule.value_set(definitions).and_then(ValueSet::codes)
        && codes.len() <= LISTED
        && !codes.is_empty()
    {
        let listed: Vec<&str> = codes.iter().map(|code| code.code).collect();
        message += &format!(": use one of {}", listed.join(", "));
    }
    Rule::Binding.error(IssueType::CodeInvalid, message)
}
