//! Which of several types a value has, where neither its name nor the model tells (FHIR R4 §5.1, an element of
//! several types whose path does not end in `[x]`).
//!
//! XML names it in `xsi:type`. In JSON the value itself tells: its kind, what a primitive may be, or which type
//! knows its members and misses none. The choice looks no deeper, so its cost is bounded by the members.

use fhir_models::document::xml::TYPE_MEMBER;
use fhir_models::document::{Format, Kind, Value, name};

use super::super::shape::{Content, Shape};
use super::super::walk::Walk;
use super::model::{Models, Own, Property};

/// The property whose type the value has, and the number of the model where that is one; `None` where none fits.
pub(super) fn of<'v, 'd>(
    walk: &Walk<'v, 'd>,
    models: &'v Models,
    item: Value<'d>,
    all: impl Iterator<Item = &'v Property>,
) -> Option<(&'v Property, Option<usize>)> {
    let named = item.get_key(TYPE_MEMBER).filter(|_| item.document().format() == Format::Xml);
    let named = named.and_then(Value::as_str);
    let fits = all.filter_map(|property| {
        let number = match property.content {
            Own::Model(number) => match &named {
                Some(name) => Some(models.named(number, name)?),
                None => Some(number),
            },
            _ => None,
        };
        if let (Some(name), None) = (&named, number)
            && property.entry.content.type_name() != &**name
        {
            return None;
        }
        Some((misfit(walk, models, item, property, number)?, property, number))
    });
    fits.min_by_key(|it| it.0).map(|(_, property, number)| (property, number))
}

/// How many members the type doesn't know, or misses; `None` where the value can't be of this type.
fn misfit(
    walk: &Walk<'_, '_>,
    models: &Models,
    item: Value<'_>,
    property: &Property,
    number: Option<usize>,
) -> Option<usize> {
    if let Some(number) = number {
        let model = models.get(number)?.as_ref().ok().filter(|_| item.is_object())?;
        let (part, shape) = (model.parts.first()?, model.structure.shapes.first()?);
        let know = |key: &str| part.find(key).map(|it| it.entry.element);
        return Some(strange(item, shape, |child| {
            let key = child.key().unwrap_or_default();
            know(&key).or_else(|| know(key.strip_prefix('_')?))
        }));
    }
    match property.entry.content {
        _ if property.content == Own::Anything => Some(usize::MAX),
        Content::Primitive(primitive) => match item.kind() {
            Kind::Object | Kind::Array | Kind::Null => None,
            // Of the wrong kind or form it still is a primitive.
            _ => Some(usize::from(primitive.check_value(item).is_err())),
        },
        Content::Resource => item.get(name::RESOURCE_TYPE).map(|_| 0),
        Content::Type(type_name) => {
            let structure = walk.types.structure(type_name).ok().filter(|_| item.is_object())?;
            let shape = structure.root()?;
            Some(strange(item, shape, |child| shape.find(child.name()).map(|it| it.element)))
        }
        _ => item.is_object().then_some(usize::MAX),
    }
}

/// How many members `element` doesn't find, and how many the shape demands beside those found.
fn strange<'d>(item: Value<'d>, shape: &Shape, element: impl Fn(Value<'d>) -> Option<u8>) -> usize {
    let mut present = 0u128;
    let mut unknown = 0;
    for child in item.children().filter(|it| it.key().is_none_or(|key| key != TYPE_MEMBER)) {
        match element(child) {
            Some(element) => present |= 1u128 << element,
            None => unknown += 1,
        }
    }
    unknown + (shape.required & !present).count_ones() as usize
}
