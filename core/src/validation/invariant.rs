//! Invariants: constraints in FHIRPath (FHIR R4 §2.29, `ElementDefinition.constraint`).
//!
//! Each is compiled once, when first needed. Most constraints of FHIR hold wherever the elements that they
//! speak of are absent; for those, `triggers` names these elements, and without any of them nothing is
//! evaluated. Others follow from which elements stand (`presence`), or are proven by native code
//! ([`Native`]); only what is left is evaluated. An expression that can't be compiled, can't be evaluated, or asks about codes that nobody here
//! knows, is counted and breaks nothing.
//!
//! Some are native code and left out here: [`NATIVE`].

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use fhir_models::definition::{Constraint, Severity};
use fhir_models::document::{Limits, OwnedDocument, Value, name};

use crate::fhirpath::{
    self, Answer, Code, Context, Expression, Focus, Known, Model, Options, OwnNames, Presence, Terminology,
    TypeId,
};
use crate::outcome::{IssueSeverity, IssueType};
use crate::terminology::{self, Codes, Membership};

use super::finding::{Fault, Rule};
use super::native::{Native, culprits};
use super::profile::Profiles;
use super::resource;
use super::types::Types;
use super::walk::Walk;

/// Invariants that other files check: content of elements and extensions, nesting of contained resources,
/// references to contained resources, narrative. `dom-6` is a recommendation, not a rule.
pub(super) const NATIVE: &[&str] = &["ele-1", "ext-1", "dom-2", "ref-1", "txt-1", "txt-2", "dom-6"];

/// Deepest chain of `conformsTo()` in profiles.
const DEPTH: usize = 4;

/// One constraint.
#[derive(Debug)]
pub(super) struct Invariant {
    key: Box<str>,
    human: Box<str>,
    severity: Severity,
    text: Box<str>,
    /// The definition whose elements it speaks of: `Patient`, `Patient.contact`; empty where unknown.
    on: Box<str>,
    /// By number in the shape, the elements without which it holds; 0: it must be evaluated always.
    triggers: u128,
    /// What the elements that stand tell about it.
    presence: Option<Presence>,
    native: Option<Native>,
    /// In a logical model, what it calls its elements.
    names: Option<Arc<OwnNames>>,
    expression: OnceLock<Option<(Expression, Option<TypeId>)>>,
}

impl Invariant {
    /// A constraint of the elements of `on`; `None` where there is nothing to evaluate.
    pub fn new(constraint: &Constraint, on: &str) -> Option<Invariant> {
        let text = constraint.expression.as_deref()?;
        if NATIVE.contains(&constraint.key.as_str()) {
            return None;
        }
        Some(Invariant {
            key: constraint.key.as_str().into(),
            human: constraint.human.as_str().into(),
            severity: constraint.severity,
            text: text.into(),
            on: on.into(),
            triggers: 0,
            presence: None,
            native: Native::of(text),
            names: None,
            expression: OnceLock::new(),
        })
    }

    /// Its key: `pat-1`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The same, for an element of a logical model that names its elements so.
    pub fn in_model(self, names: Option<&Arc<OwnNames>>) -> Invariant {
        Invariant { names: names.cloned(), ..self }
    }

    /// The same, for a shape with elements of these names in this order.
    pub fn triggered<'n>(mut self, model: &Arc<Model>, elements: impl Iterator<Item = &'n str>) -> Invariant {
        let elements: Vec<&str> = elements.take(128).collect();
        let bit = |name: &str| elements.iter().position(|own| *own == name).map_or(0u128, |at| 1 << at);
        if let Some(words) = outer_words(&self.text) {
            let triggers = words.into_iter().fold(0u128, |all, word| all | bit(word));
            if triggers != 0 && self.holds_on_nothing(model) {
                self.triggers = triggers;
            }
        }
        self.presence = self.compiled(model).and_then(|(expression, _)| expression.presence(&bit));
        self
    }

    /// True where the elements that stand, each with content, are enough to know that it holds.
    #[inline]
    pub fn is_idle(&self, present: u128) -> bool {
        (self.triggers != 0 && self.triggers & present == 0)
            || self
                .presence
                .as_ref()
                .is_some_and(|it| matches!(it.answer(present), Known::True | Known::Empty))
    }

    fn holds_on_nothing(&self, model: &Arc<Model>) -> bool {
        let Some((expression, Some(own))) = self.compiled(model) else { return false };
        let Ok(nothing) = OwnedDocument::parse_json("{}", &Limits::default()) else { return false };
        let answer = expression.test(Focus::element(nothing.root(), *own), &Context::default());
        matches!(answer, Ok(Some(true)))
    }

    fn compiled(&self, model: &Arc<Model>) -> Option<&(Expression, Option<TypeId>)> {
        let compile = || {
            let on = Some(&*self.on).filter(|it| !it.is_empty());
            let own_names = self.names.as_deref();
            let options = Options { on, resource: Some("Resource"), own_names, ..Options::default() };
            let own = on.and_then(|on| model.type_of(on));
            Expression::compile(&self.text, model, &options).ok().map(|it| (it, own))
        };
        self.expression.get_or_init(compile).as_ref()
    }
}

/// Checks the invariants of an element. `type_name` is its type where the constraint doesn't say.
pub(super) fn check<'d>(
    walk: &mut Walk<'_, 'd>,
    invariant: &Invariant,
    value: Option<Value<'d>>,
    twin: Option<Value<'d>>,
    type_name: &str,
    profile: Option<&str>,
) {
    let Some(at) = value.or(twin) else { return };
    if let (Some(native), Some(value)) = (invariant.native, value)
        && !walk.types.evaluates_all()
        && native.holds(walk, value)
    {
        return;
    }
    let model = walk.types.model();
    let Some((expression, own)) = invariant.compiled(model) else {
        walk.unchecked_invariants += 1;
        return;
    };
    let own = match own {
        Some(own) if at.is_object() => Some(*own),
        own => model.type_of(type_name).or(*own),
    };
    let is_resource = at.is_object() && at.get(name::RESOURCE_TYPE).is_some();
    let focus = match own {
        _ if is_resource => Focus::resource(at),
        Some(own) => Focus::element(at, own),
        None => Focus::resource(at),
    };
    let focus = twin.map_or(focus, |twin| focus.with_twin(twin));
    let document = at.document();
    let resource = document.value(walk.scope.resource).unwrap_or_else(|| document.root());
    let root = document.value(walk.scope.root).unwrap_or(resource);
    let codes = MemberOf { codes: &walk.codes, unknown: Cell::new(false) };
    let judge = Judge { types: walk.types, profiles: walk.profiles, codes: &walk.codes, depth: walk.nested };
    let context = Context {
        resource: Some(Focus::resource(resource)),
        root_resource: Some(Focus::resource(root)),
        terminology: Some(&codes),
        profiles: Some(&judge),
        now: walk.now,
        resolver: walk.instances.map(|it| it as &dyn fhirpath::Resolver),
        ..Context::default()
    };
    let answer = expression.test(focus, &context);
    match answer {
        Ok(None) if codes.unknown.get() => walk.unknown_codes += 1,
        // No answer is no complaint: published constraints count on it where an element is absent.
        Ok(Some(true) | None) => {}
        Ok(Some(false)) => {
            let severity = match invariant.severity {
                Severity::Error => IssueSeverity::Error,
                Severity::Warning => IssueSeverity::Warning,
            };
            let message = match profile {
                Some(url) => format!("{} ({}; {url})", invariant.human, invariant.key),
                None => format!("{} ({})", invariant.human, invariant.key),
            };
            let mut places = culprits(invariant.native, walk, at);
            if places.is_empty() {
                places.push(at);
            }
            for place in places {
                let (rule, code, message) = (Rule::Invariant, IssueType::Invariant, message.clone());
                walk.report(place, place, Fault { rule, severity, code, message });
            }
        }
        Err(_) => walk.unchecked_invariants += 1,
    }
}

/// The names that an expression asks of its own focus. `None` where it may ask for more than names tell.
///
/// What stands in the arguments of `where`, `all`, `exists`, `select` and `trace` is asked of the items before
/// them.
fn outer_words(text: &str) -> Option<Vec<&str>> {
    const PER_ITEM: &[&str] = &["where", "all", "exists", "select", "trace"];
    const FORBIDDEN: &[&str] = &["children", "descendants", "repeat", "iif"];
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'%' | b'$' | b'`' => return None,
            b'\'' => at = skip_text(bytes, at),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let start = at;
                while bytes.get(at).is_some_and(|it| it.is_ascii_alphanumeric() || *it == b'_') {
                    at += 1;
                }
                let word = text.get(start..at)?;
                let call = bytes.get(at) == Some(&b'(');
                let chained = text.get(..start)?.trim_end().ends_with('.');
                if call
                    && (!chained || FORBIDDEN.contains(&word))
                    && !matches!(word, "and" | "or" | "implies" | "xor" | "in")
                {
                    return None;
                }
                if call && PER_ITEM.contains(&word) {
                    at = skip_arguments(bytes, at);
                } else if !call {
                    words.push(word);
                }
            }
            _ => at += 1,
        }
    }
    Some(words)
}

/// The place after a text in quotes that begins at `at`.
fn skip_text(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while let Some(&byte) = bytes.get(at) {
        at += 1 + usize::from(byte == b'\\');
        if byte == b'\'' {
            break;
        }
    }
    at
}

/// The place after the parentheses that open at `at`.
fn skip_arguments(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\'' => {
                at = skip_text(bytes, at);
                continue;
            }
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

/// Answers `memberOf()`.
struct MemberOf<'t> {
    codes: &'t Codes<'t>,
    unknown: Cell<bool>,
}

impl Terminology for MemberOf<'_> {
    fn member_of(&self, code: &Code<'_>, value_set: &str) -> Answer {
        let asked = terminology::Code {
            system: code.system.as_deref(),
            version: code.version.as_deref(),
            code: &code.code,
        };
        match self.codes.in_value_set_of(value_set, asked) {
            Membership::Member => Answer::Yes,
            Membership::NotMember => Answer::No,
            Membership::Unknown => {
                self.unknown.set(true);
                Answer::Unknown
            }
        }
    }

    fn subsumes(&self, _: &Code<'_>, _: &Code<'_>) -> Answer {
        self.unknown.set(true);
        Answer::Unknown
    }
}

/// Answers `conformsTo()`.
struct Judge<'t> {
    types: &'t Types,
    profiles: &'t Profiles,
    codes: &'t Codes<'t>,
    depth: usize,
}

impl fhirpath::Profiles for Judge<'_> {
    fn conforms_to(&self, value: Value<'_>, profile: &str) -> Answer {
        if self.depth >= DEPTH || self.profiles.get(self.types, profile).is_err() {
            return Answer::Unknown;
        }
        let codes = Codes::new(self.types.definitions(), self.codes.answers());
        let mut walk = Walk::new(self.types, self.profiles, Default::default(), value.document(), codes);
        walk.nested = self.depth + 1;
        if value.get(name::RESOURCE_TYPE).is_some() {
            // A resource obeys its type's own definition first.
            resource::check(&mut walk, value, false);
        }
        let obeys = !walk.findings.iter().any(|it| it.fault.severity.is_error())
            && walk.obeys_canonical(value, profile);
        self.codes.absorb(walk.codes);
        if obeys { Answer::Yes } else { Answer::No }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::outer_words;

    #[test]
    fn what_an_expression_asks_of_its_focus() {
        let period = "start.hasValue().not() or end.hasValue().not() or (start <= end)";
        assert_eq!(outer_words(period).unwrap(), ["start", "or", "end", "or", "start", "end"]);
        let contained = "contained.where(('#'+id in (%resource.descendants().reference)).not()).trace('unmatched', id).empty()";
        assert_eq!(outer_words(contained).unwrap(), ["contained"]);
        assert_eq!(
            outer_words("name.matches('[A-Z](x)%') implies code.exists()").unwrap(),
            ["name", "implies", "code"]
        );
        assert!(outer_words("hasValue() or (children().count() > id.count())").is_none());
        assert!(outer_words("%resource.id = id").is_none());
        assert!(outer_words("$this.length() > 3").is_none());
    }
}
