//! The walk over an instance of a logical model. As in the ordinary walk, each value meets the rules of its place
//! once, and the depth is bounded by the settings.

use fhir_models::definition::Max;
use fhir_models::document::xml::TYPE_MEMBER;
use fhir_models::document::{Format, Kind, Name, Value, name};

use crate::outcome::IssueType;

use super::super::finding::Rule;
use super::super::profile::Occurrence;
use super::super::shape::ELEMENT_ID;
use super::super::walk::{Place, Walk};
use super::super::{cardinality, content, twin, unknown};
use super::model::{Model, Models, Own, Part, Property};
use super::{slice, typed};

/// Longest part of an unknown name that a message repeats, in characters.
const SHOWN: usize = 64;

/// The rules of a model; says so where it can't be used.
pub(super) fn usable<'v, 'd>(
    walk: &mut Walk<'v, 'd>,
    models: &'v Models,
    number: usize,
    value: Value<'d>,
) -> Option<&'v Model> {
    match models.get(number)? {
        Ok(model) => Some(model),
        Err(cause) => {
            let message = format!("the logical model can't be checked: {cause}");
            walk.report(value, value, Rule::Definition.error(IssueType::NotSupported, message));
            None
        }
    }
}

/// A whole instance.
pub(super) fn root<'v, 'd>(walk: &mut Walk<'v, 'd>, models: &'v Models, model: &'v Model, value: Value<'d>) {
    if value.is_object() {
        object(walk, models, model, 0, value);
    } else {
        walk.report(value, value, content::not_an_object(value, &model.type_name));
    }
}

/// An object by one part of a model.
fn object<'v, 'd>(
    walk: &mut Walk<'v, 'd>,
    models: &'v Models,
    model: &'v Model,
    part_number: usize,
    value: Value<'d>,
) {
    let (Some(part), Some(shape)) = (model.parts.get(part_number), model.structure.shapes.get(part_number))
    else {
        return;
    };
    if walk.depth >= walk.settings.depth {
        return walk.report(value, value, content::too_deep(walk.settings.depth));
    }
    walk.depth += 1;
    let mut present = 0u128;
    let (mut empty, mut substance) = (true, false);
    let mut choices: Vec<(u8, &str)> = Vec::new();
    for child in value.children() {
        if walk.full {
            break;
        }
        empty = false;
        let key = child.key().unwrap_or_default();
        if part_number == 0 && child.name() == name::RESOURCE_TYPE && part.find("resourceType").is_none() {
            continue;
        }
        if key == TYPE_MEMBER && value.document().format() == Format::Xml {
            continue;
        }
        // Of names that FHIR doesn't know, the document doesn't say whether they are twins.
        let stem = key.strip_prefix('_').filter(|_| part.find(&key).is_none());
        let property = match stem {
            Some(stem) => part.find(stem).filter(|it| it.entry.may_have_twin()),
            None => part.find(&key),
        };
        let Some(property) = property else {
            substance = true;
            stranger(walk, value, child, &key, part, &shape.path);
            continue;
        };
        let entry = property.entry;
        let place = Place { structure: &model.structure, shape, entry };
        substance |= entry.flags & ELEMENT_ID == 0;
        if entry.is_choice() {
            if choices.iter().any(|(element, key)| *element == entry.element && **key != *property.key) {
                let message =
                    format!("`{}` may have one type only: remove all variants but one", property.path);
                walk.report(value, child, Rule::Choice.error(IssueType::Structure, message));
            }
            choices.push((entry.element, &property.key));
        }
        present |= 1u128 << entry.element;
        if stem.is_some() {
            twin::check(walk, value, child, place);
            continue;
        }
        if let Some(element) = shape.element(entry)
            && element.cardinality.max == Max::Count(0)
        {
            walk.report(value, child, cardinality::count(shape, element, 1));
            continue;
        }
        if property.several {
            several(walk, models, (model, part), value, child, property, place);
        } else {
            member(walk, models, model, value, child, property, place);
        }
    }
    walk.depth -= 1;
    let missing = shape.required & !present;
    if empty {
        walk.report(value, value, content::empty_object());
    } else if !substance && part_number != 0 && !walk.full {
        walk.report(value, value, content::only_an_id());
    } else if missing != 0 && !walk.full {
        walk.missing(value, shape, missing);
    }
    if !part.sliced.is_empty() {
        slice::check(walk, model, value, &part.sliced);
    }
    rules(walk, model, part.node, value, Name::UNKNOWN);
}

/// Checks how often an element stands; false where nothing more can be said of it.
fn repeats<'v, 'd>(walk: &mut Walk<'v, 'd>, child: Value<'d>, place: Place<'v>) -> bool {
    match (place.entry.is_array(), child.is_array(), place.shape.element(place.entry)) {
        (true, true, _) => walk.count(child, place, child.children().count()),
        (true, false, Some(element)) => {
            walk.report(child, child, cardinality::not_an_array(place.shape, element));
        }
        (false, true, Some(element)) => {
            walk.report(child, child, cardinality::an_array(place.shape, element));
            return false;
        }
        _ => {}
    }
    true
}

/// An element of several types under one name: each repetition by the rules of the type that it has.
fn several<'v, 'd>(
    walk: &mut Walk<'v, 'd>,
    models: &'v Models,
    (model, part): (&'v Model, &'v Part),
    object_: Value<'d>,
    child: Value<'d>,
    property: &'v Property,
    place: Place<'v>,
) {
    if !repeats(walk, child, place) {
        return;
    }
    for item in child.items() {
        if walk.full {
            return;
        }
        let all = part.properties.iter().filter(|it| it.key == property.key);
        let Some((own, number)) = typed::of(walk, models, item, all) else {
            let message = format!("`{}` may have none of the types that fit this: correct it", property.path);
            walk.report(item, item, Rule::Type.error(IssueType::Structure, message));
            continue;
        };
        let type_name = match (own.content, number) {
            (_, Some(number)) => {
                if let Some(inner) = usable(walk, models, number, item) {
                    object(walk, models, inner, 0, item);
                }
                Name::UNKNOWN
            }
            (Own::Fhir, None) => {
                walk.item(object_, item, Place { entry: own.entry, ..place });
                Name::of(own.entry.content.type_name())
            }
            _ => Name::UNKNOWN,
        };
        if let Some(node) = own.node {
            rules(walk, model, node, item, type_name);
        }
    }
}

/// What stands under one property.
fn member<'v, 'd>(
    walk: &mut Walk<'v, 'd>,
    models: &'v Models,
    model: &'v Model,
    object_: Value<'d>,
    child: Value<'d>,
    property: &'v Property,
    place: Place<'v>,
) {
    if property.content == Own::Fhir {
        walk.member(object_, child, place);
    } else if !repeats(walk, child, place) {
        return;
    }
    let type_name = match property.content {
        Own::Fhir => Name::of(property.entry.content.type_name()),
        _ => Name::UNKNOWN,
    };
    for item in child.items() {
        if walk.full {
            return;
        }
        match property.content {
            Own::Fhir if item.kind() == Kind::Null => continue,
            Own::Fhir | Own::Anything => {}
            _ if !item.is_object() => {
                walk.report(item, item, content::not_an_object(item, &property.path));
                continue;
            }
            Own::Part(number) => object(walk, models, model, number, item),
            Own::Model(number) => {
                let number = named(walk, models, number, item);
                if let Some(inner) = usable(walk, models, number, item) {
                    object(walk, models, inner, 0, item);
                }
            }
        }
        if let Some(node) = property.node {
            rules(walk, model, node, item, type_name);
        }
    }
}

/// The model that `xsi:type` names in the place of the one declared.
fn named<'d>(walk: &mut Walk<'_, 'd>, models: &Models, declared: usize, item: Value<'d>) -> usize {
    let Some(name) = item.get_key(TYPE_MEMBER).filter(|_| item.document().format() == Format::Xml) else {
        return declared;
    };
    let found = name.as_str().and_then(|name| models.named(declared, &name));
    if found.is_none() {
        let message = "`xsi:type` names no type that is at hand and may stand here: correct it, or bring its definition";
        walk.report(item, name, Rule::Type.error(IssueType::Structure, message));
    }
    found.unwrap_or(declared)
}

/// The rules of one node.
pub(super) fn rules<'d>(
    walk: &mut Walk<'_, 'd>,
    model: &Model,
    node: u32,
    value: Value<'d>,
    type_name: Name,
) {
    if walk.full {
        return;
    }
    let unjudged = model.unjudged.get(node as usize).copied().unwrap_or(0);
    walk.unchecked_invariants += unjudged;
    let item = Occurrence { value: Some(value), twin: None, at: value, type_name };
    walk.rules(item, &model.profile, node);
}

#[cold]
fn stranger<'d>(
    walk: &mut Walk<'_, 'd>,
    object: Value<'d>,
    child: Value<'d>,
    key: &str,
    part: &Part,
    path: &str,
) {
    let cure = match unknown::nearest_of(key, part.properties.iter().map(|it| &*it.key)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "remove it, or add it to the model".to_owned(),
    };
    let shown: String = key.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    let message = format!("`{path}` has no element `{shown}`: {cure}");
    walk.report(object, child, Rule::UnknownElement.error(IssueType::Structure, message));
}
