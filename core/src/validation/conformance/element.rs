//! The elements of a structure, one by one: path, slicing, types, values, binding, constraints (FHIR R4
//! §2.29).
//!
//! Differential and snapshot are checked alike; only a differential is compared with the base.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use fhir_models::definition::{BindingStrength, ElementDefinition, Max, RawValue, choice_name};
use fhir_models::document::{Limits, Name, OwnedDocument, Value, name};

use crate::outcome::IssueType;

use super::super::profile::{equal, matches, plain};
use super::super::walk::Walk;
use super::ground::{Found, Ground, Narrowed, Place};
use super::{broken, discriminator, expression, identity, list, type_reference};

/// The structure whose elements are checked.
pub(super) struct Holder<'h, 'd> {
    pub structure: Value<'d>,
    /// The name that its paths begin with.
    pub type_name: &'h str,
    /// It is a profile.
    pub constraint: bool,
    /// Its base, where that is at hand.
    pub ground: Option<&'h Ground<'h>>,
    /// The ids of all its elements.
    pub ids: HashSet<Cow<'d, str>>,
}

impl<'d> Holder<'_, 'd> {
    /// The elements of its differential or snapshot.
    pub fn elements(&self, part: Name) -> impl Iterator<Item = Value<'d>> + use<'d> {
        self.structure.get(part).and_then(|it| it.get(name::ELEMENT)).into_iter().flat_map(Value::items)
    }
}

/// An element and what is known about its place.
pub(super) struct Subject<'s, 'd> {
    pub value: Value<'d>,
    pub element: &'s ElementDefinition,
    /// Its place in the base.
    pub place: Option<&'s Place>,
    /// The types it may have, as far as they are known.
    pub types: &'s [String],
    /// It stands in a differential.
    pub differential: bool,
}

/// Checks the elements of a differential or snapshot.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, holder: &Holder<'_, 'd>, part: Name) {
    let differential = part == name::DIFFERENTIAL;
    let mut narrowed = Narrowed::new();
    let mut keys = HashMap::new();
    for value in holder.elements(part) {
        if walk.full {
            return;
        }
        let Ok(element) = ElementDefinition::read(value) else { continue };
        let root = !element.path.contains('.');
        begins_with_type(walk, holder, value, &element);
        if root && differential && element.slicing.is_some() {
            broken(walk, value, IssueType::Invalid, "the root of a profile can't be sliced");
        }
        if differential && holder.constraint && value.get_key("meaningWhenMissing").is_some() {
            let message = "a profile can't say what a missing element means: only the type's definition does";
            let extension = element.path == "Extension" || element.path.ends_with(".extension");
            if !extension {
                broken(walk, value, IssueType::Invalid, message);
            }
        }
        if !element.types.is_empty() {
            let codes = element.types.iter().map(|it| it.code.clone()).collect();
            narrowed.insert(element.id.clone(), codes);
        }
        let found = holder.ground.map(|ground| (ground, ground.place(&element, &narrowed)));
        let place = match &found {
            Some((_, Found::At(place))) => Some(place),
            _ => None,
        };
        let types = match (holder.ground, place) {
            _ if root => vec![holder.type_name.to_owned()],
            (Some(ground), Some(place)) => ground.types(place, &element.id, &element.path, &narrowed),
            _ => element.types.iter().map(|it| it.code.clone()).collect(),
        };
        let subject = Subject { value, element: &element, place, types: &types, differential };
        if element.slicing.is_some() && !root {
            discriminator::check(walk, &subject);
        }
        type_reference::check(walk, &subject);
        type_reference::shared(walk, holder, &subject);
        identity::check(walk, &subject);
        characteristics(walk, &subject);
        expression::constraints(walk, holder, &subject, &mut keys);
        if let (true, true, Some(ground)) = (differential, holder.constraint && !root, holder.ground) {
            narrows(walk, &subject, ground);
        }
    }
}

fn begins_with_type<'d>(
    walk: &mut Walk<'_, 'd>,
    holder: &Holder<'_, 'd>,
    value: Value<'d>,
    element: &ElementDefinition,
) {
    let rest = element.path.strip_prefix(holder.type_name);
    if holder.type_name.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
        return;
    }
    let message = format!(
        "the path {} must begin with the type of the structure, {}",
        plain(&element.path),
        holder.type_name
    );
    broken(walk, value, IssueType::Invalid, message);
}

/// What only values of some types can have: a length, an order, a binding, a type of their own.
fn characteristics<'d>(walk: &mut Walk<'_, 'd>, subject: &Subject<'_, 'd>) {
    let (element, types) = (subject.element, subject.types);
    for (key, raw) in [("fixed", &element.fixed), ("pattern", &element.pattern)] {
        let Some(raw) = raw else { continue };
        let place = subject.value.get_key(&[key, raw.suffix.as_str()].concat()).unwrap_or(subject.value);
        if !types.is_empty() && !types.iter().any(|code| choice_name("", code) == raw.suffix) {
            let message = format!(
                "{key}{} is not of a type of {}: {}",
                raw.suffix,
                plain(&element.path),
                types.join(", ")
            );
            broken(walk, place, IssueType::Invalid, message);
        }
    }
    let definitions = walk.types.definitions();
    let known: Vec<&String> = types.iter().filter(|it| definitions.type_kind(it).is_some()).collect();
    if known.is_empty() || known.len() != types.len() {
        return;
    }
    let any = |of: &[&str]| {
        known.iter().any(|it| *it == "Element" || of.iter().any(|of| definitions.is_subtype(it, of)))
    };
    let mut unfit = Vec::new();
    if element.binding.is_some() && !any(BINDABLE) {
        unfit.push("a binding");
    }
    if element.max_length.is_some() && !any(WITH_LENGTH) {
        unfit.push("maxLength");
    }
    if element.min_length.is_some() && !any(WITH_LENGTH) {
        unfit.push("minLength");
    }
    if element.min_value.is_some() && !any(ORDERED) {
        unfit.push("minValue");
    }
    if element.max_value.is_some() && !any(ORDERED) {
        unfit.push("maxValue");
    }
    for what in unfit {
        let message =
            format!("{what} says nothing about {}: its type is {}", plain(&element.path), types.join(", "));
        broken(walk, subject.value, IssueType::BusinessRule, message);
    }
}

/// Types that a value set can bind.
const BINDABLE: &[&str] =
    &["code", "Coding", "CodeableConcept", "Quantity", "string", "uri", "Range", "Extension"];
/// Types whose values have a length.
const WITH_LENGTH: &[&str] =
    &["string", "uri", "integer", "decimal", "instant", "date", "dateTime", "time", "base64Binary"];
/// Types whose values have an order.
const ORDERED: &[&str] =
    &["integer", "decimal", "instant", "date", "dateTime", "time", "Quantity", "Money", "Period"];

/// A profile only narrows what its base allows.
fn narrows<'d>(walk: &mut Walk<'_, 'd>, subject: &Subject<'_, 'd>, ground: &Ground<'_>) {
    let (element, value) = (subject.element, subject.value);
    let own = subject.place.and_then(Place::element);
    let stated = |id: &str| {
        let (id, path) = (id.to_owned(), element.path.as_str());
        move |pick: fn(&ElementDefinition) -> Option<u32>| ground.stated(&id, path, pick)
    };
    let base_max = ground.stated(&element.id, &element.path, |it| it.max).or(own.and_then(|it| it.max));
    if let (Some(max), Some(base)) = (element.max, base_max)
        && wider(max, base)
    {
        let at = value.get(name::MAX).unwrap_or(value);
        let message = format!("{} repeats at most {} times in the base", plain(&element.path), shown(base));
        broken(walk, at, IssueType::Invalid, message);
    }
    // A slice may be absent although the element that it slices is required.
    let last = element.id.rsplit('.').next().unwrap_or_default();
    let slice = element.slice_name.is_some() || last.contains(':');
    let base_min = stated(&element.id)(|it| it.min).or(own.and_then(|it| it.min));
    if let (Some(min), Some(base)) = (element.min, base_min)
        && min < base
        && (!slice || ground.has(&element.id))
    {
        let at = value.get(name::MIN).unwrap_or(value);
        let message = format!("{} is required at least {base} times in the base", plain(&element.path));
        broken(walk, at, IssueType::Invalid, message);
    }
    if let Some(place) = subject.place {
        sliceable(walk, subject, place);
    }
    let strength = ground
        .stated(&element.id, &element.path, |it| it.binding.as_ref().map(|it| it.strength))
        .or(own.and_then(|it| it.binding.as_ref()).map(|it| it.strength));
    if let (Some(binding), Some(base)) = (&element.binding, strength)
        && base == BindingStrength::Required
        && binding.strength < base
    {
        let at = value.get(name::BINDING).unwrap_or(value);
        let message = format!("the binding of {} is required in the base and stays so", plain(&element.path));
        broken(walk, at, IssueType::Invalid, message);
    }
    values(walk, subject, ground);
}

/// Slices exist where an element repeats, or has one of several types.
fn sliceable<'d>(walk: &mut Walk<'_, 'd>, subject: &Subject<'_, 'd>, place: &Place) {
    let Some(own) = place.element() else { return };
    if subject.element.slicing.is_some() && own.most() == Max::Count(1) && !own.is_choice() {
        let at = subject.value.get_key("slicing").unwrap_or(subject.value);
        let message = format!("{} does not repeat: it can't be sliced", plain(&subject.element.path));
        broken(walk, at, IssueType::Invalid, message);
    }
}

/// Fixed values and patterns keep what the base fixes.
fn values<'d>(walk: &mut Walk<'_, 'd>, subject: &Subject<'_, 'd>, ground: &Ground<'_>) {
    let element = subject.element;
    let (raw, key) = match (&element.fixed, &element.pattern) {
        (Some(fixed), _) => (fixed, "fixed"),
        (None, Some(pattern)) => (pattern, "pattern"),
        (None, None) => return,
    };
    let at = subject.value.get_key(&[key, raw.suffix.as_str()].concat()).unwrap_or(subject.value);
    let parse = |raw: &RawValue| OwnedDocument::parse_json(raw.json.as_bytes(), &Limits::default()).ok();
    let Some(own) = parse(raw) else { return };
    let fixed = ground.stated(&element.id, &element.path, |it| it.fixed.clone());
    if let Some(base) = fixed.as_ref().and_then(parse) {
        let kept = match key {
            "fixed" => equal(own.root(), base.root()),
            _ => matches(base.root(), own.root()),
        };
        if !kept {
            let message = format!("the base fixes {} to another value", plain(&element.path));
            broken(walk, at, IssueType::Value, message);
        }
        return;
    }
    let pattern = ground.stated(&element.id, &element.path, |it| it.pattern.clone());
    if let Some(base) = pattern.as_ref().and_then(parse).filter(|_| key == "fixed")
        && !matches(own.root(), base.root())
    {
        let message =
            format!("the fixed value breaks the pattern that the base sets for {}", plain(&element.path));
        broken(walk, at, IssueType::Value, message);
    }
}

fn wider(max: Max, base: Max) -> bool {
    match (max, base) {
        (_, Max::Unbounded) => false,
        (Max::Unbounded, Max::Count(_)) => true,
        (Max::Count(own), Max::Count(base)) => own > base,
    }
}

fn shown(max: Max) -> String {
    match max {
        Max::Count(count) => count.to_string(),
        Max::Unbounded => "any number of".to_owned(),
    }
}

/// The children of an element value with this key.
pub(super) fn parts<'d>(value: Value<'d>, key: &str) -> Vec<Value<'d>> {
    list(value, key).collect()
}
