//! FHIRPath Patch (FHIR R4 §3.1.5): a Parameters resource whose operations find their place by an expression.
//!
//! Each operation works on the result of the one before. Its expression must name one place, or one list; a
//! primitive with an id or extensions of its own is refused, since FHIRPath Patch has no word for those. Expressions
//! see the resource alone: there is no resolver, no terminology.

use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, Name, OwnedDocument, Value, name};

use super::pointer;
use super::shape::{Place, place_of};
use super::tree::Tree;
use super::{PatchError, PatchLimits};
use crate::fhirpath::{Context, Expression, Model, Options};

/// The document with a FHIRPath Patch applied.
///
/// ```
/// use fhir_models::definition::Definitions;
/// use fhir_models::document::{Limits, OwnedDocument};
/// use varco_core::fhirpath::Model;
/// use varco_core::patch::{PatchLimits, fhirpath_patch};
///
/// let read = |text: &str| OwnedDocument::parse_json(text, &Limits::default());
/// let patient = read(r#"{"resourceType":"Patient","birthDate":"1971-05-04"}"#)?;
/// let patch = read(r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[
///     {"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.birthDate"},
///     {"name":"value","valueDate":"1971-05-05"}]}]}"#)?;
/// let (model, definitions) = (Model::r4(), Definitions::r4());
/// let patched = fhirpath_patch(patient.root(), patch.root(), &model, &definitions, &PatchLimits::default())?;
/// assert_eq!(String::from_utf8_lossy(&patched), r#"{"resourceType":"Patient","birthDate":"1971-05-05"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fhirpath_patch(
    document: Value<'_>,
    parameters: Value<'_>,
    model: &Arc<Model>,
    definitions: &Definitions,
    limits: &PatchLimits,
) -> Result<Vec<u8>, PatchError> {
    if parameters.resource_type().as_deref() != Some("Parameters") {
        return Err(PatchError::Form("a FHIRPath Patch is a Parameters resource"));
    }
    let mut text = document.raw().as_bytes().to_vec();
    let operations = parameters.get(Name::of("parameter")).into_iter().flat_map(Value::items);
    for (at, parameter) in operations.enumerate() {
        if at >= limits.operations.min(MOST_OPERATIONS) {
            return Err(PatchError::TooMuch);
        }
        if !parameter.get_key("name").is_some_and(|name| name.is_str("operation")) {
            return Err(PatchError::Form("every parameter of a FHIRPath Patch is named `operation`"));
        }
        let operation = Operation::read(parameter, at)?;
        text = operation.apply(text, model, definitions)?;
        if text.len() > limits.bytes {
            return Err(PatchError::TooMuch);
        }
    }
    Ok(text)
}

/// Each operation reads the whole resource again.
const MOST_OPERATIONS: usize = 100;

/// One operation, as it is written.
struct Operation<'p> {
    at: usize,
    kind: Value<'p>,
    path: String,
    name: Option<String>,
    value: Option<Value<'p>>,
    index: Option<usize>,
    source: Option<usize>,
    destination: Option<usize>,
}

impl<'p> Operation<'p> {
    fn read(parameter: Value<'p>, at: usize) -> Result<Operation<'p>, PatchError> {
        let bad = |what| PatchError::Operation { at, what };
        let parts: Vec<Value<'p>> = parameter.get_key("part").into_iter().flat_map(Value::items).collect();
        let part = |named: &str| {
            let mut found =
                parts.iter().filter(|part| part.get_key("name").is_some_and(|own| own.is_str(named)));
            match (found.next(), found.next()) {
                (first, None) => Ok(first.copied()),
                _ => Err(bad("a part stands twice")),
            }
        };
        let text = |named: &str, keys: [&str; 2]| -> Result<Option<String>, PatchError> {
            let Some(part) = part(named)? else { return Ok(None) };
            let value = keys.iter().find_map(|key| part.get_key(key)).and_then(Value::as_str);
            value.map(|text| Some(text.into_owned())).ok_or(bad("a part has no text where it needs one"))
        };
        let number = |named: &str| -> Result<Option<usize>, PatchError> {
            let Some(part) = part(named)? else { return Ok(None) };
            let value = part
                .get_key("valueInteger")
                .and_then(Value::as_number)
                .and_then(|digits| digits.parse().ok());
            value.map(Some).ok_or(bad("`index`, `source` and `destination` are whole numbers from 0"))
        };
        let kind =
            part("type")?.and_then(|part| part.get_key("valueCode")).ok_or(bad("`type` is missing"))?;
        Ok(Operation {
            at,
            kind,
            path: text("path", ["valueString", "valueMarkdown"])?.ok_or(bad("`path` is missing"))?,
            name: text("name", ["valueString", "valueCode"])?,
            value: part("value")?,
            index: number("index")?,
            source: number("source")?,
            destination: number("destination")?,
        })
    }

    fn bad(&self, what: &'static str) -> PatchError {
        PatchError::Operation { at: self.at, what }
    }

    fn apply(
        &self,
        text: Vec<u8>,
        model: &Arc<Model>,
        definitions: &Definitions,
    ) -> Result<Vec<u8>, PatchError> {
        let nowhere = PatchError::Place { at: self.at };
        let limits = Limits { bytes: usize::MAX, ..Limits::default() };
        let document = OwnedDocument::parse_json(text, &limits).map_err(|_| PatchError::TooMuch)?;
        let kind = document.root().resource_type().unwrap_or_default().into_owned();
        let options = Options { on: Some(kind.as_str()), ..Options::default() };
        let expression = Expression::compile(&self.path, model, &options)
            .map_err(|_| self.bad("`path` is no FHIRPath expression on this type"))?;
        let found = expression
            .evaluate(document.document(), &Context::default())
            .map_err(|_| self.bad("`path` can't be evaluated on this resource"))?;
        let mut places = Vec::new();
        for item in found.iter() {
            if item.twin().is_some() {
                return Err(self.bad("the element has an id or extensions of its own: send a JSON Patch"));
            }
            let value = item.value().ok_or(self.bad("`path` must lead to elements of the resource"))?;
            places.push(place_of(value).ok_or(nowhere.clone())?);
        }
        let mut tree = Tree::of(document.root());
        let shape = |steps: &[String]| Place::of(definitions, &kind, steps);
        match (self.kind.as_str().as_deref(), places.as_slice()) {
            (Some("delete"), []) => {}
            (Some("delete"), [place]) => {
                take(&mut tree, place).ok_or(nowhere)?;
            }
            (Some("replace"), [place]) => {
                let (key, value) = self.written(definitions, &kind, place)?;
                let (last, parents) = place.split_last().ok_or(nowhere.clone())?;
                match pointer::get_mut(&mut tree, parents) {
                    Some(Tree::Object(members)) => {
                        let own = members.iter_mut().find(|(name, _)| name == last).ok_or(nowhere)?;
                        *own = (key, value);
                    }
                    Some(Tree::Array(items)) => {
                        let at = pointer::index(last).ok_or(nowhere.clone())?;
                        *items.get_mut(at).ok_or(nowhere)? = value;
                    }
                    _ => return Err(nowhere),
                }
            }
            (Some("add"), [place]) => {
                let name = self.name.as_deref().ok_or(self.bad("`name` is missing"))?;
                let inside: Vec<String> = place.iter().cloned().chain([name.to_owned()]).collect();
                let (key, value) = self.written(definitions, &kind, &inside)?;
                let list = shape(&inside).ok_or(self.bad("the type has no element of this name"))?.list;
                let Some(Tree::Object(members)) = pointer::get_mut(&mut tree, place) else {
                    return Err(nowhere);
                };
                match members.iter_mut().find(|(own, _)| *own == key) {
                    Some((_, Tree::Array(items))) => items.push(value),
                    Some(_) => return Err(self.bad("the element is there already and is no list")),
                    None if list => members.push((key, Tree::Array(vec![value]))),
                    None => members.push((key, value)),
                }
            }
            (Some("insert"), [first, ..]) => {
                let items = list_of(&mut tree, &places).ok_or(nowhere.clone())?;
                let index = self.index.filter(|index| *index <= items.len());
                let index = index.ok_or(self.bad("`index` is missing or beyond the list"))?;
                let (_, value) = self.written(definitions, &kind, first)?;
                items.insert(index, value);
            }
            (Some("move"), [_, ..]) => {
                let items = list_of(&mut tree, &places).ok_or(nowhere)?;
                let within = |index: Option<usize>| index.filter(|index| *index < items.len());
                let (Some(from), Some(to)) = (within(self.source), within(self.destination)) else {
                    return Err(self.bad("`source` or `destination` is missing or beyond the list"));
                };
                let item = items.remove(from);
                items.insert(to, item);
            }
            (Some("add" | "replace" | "insert" | "move"), []) => return Err(nowhere),
            (Some("delete" | "replace" | "add"), _) => {
                return Err(self.bad("`path` must lead to one element"));
            }
            _ => return Err(self.bad("`type` is add, insert, delete, replace or move")),
        }
        Ok(tree.to_json())
    }

    /// The value of the operation, and the key under which it stands at a place.
    fn written(
        &self,
        definitions: &Definitions,
        kind: &str,
        place: &[String],
    ) -> Result<(String, Tree), PatchError> {
        let part = self.value.ok_or(self.bad("`value` is missing"))?;
        let place =
            Place::of(definitions, kind, place).ok_or(self.bad("the type has no element of this name"))?;
        let (suffix, tree) = self.value_of(part, &place, 0)?;
        Ok((place.key(&suffix), tree))
    }

    /// The value of a part and the name of its type, empty for a list of parts.
    fn value_of(
        &self,
        part: Value<'p>,
        place: &Place<'_>,
        depth: usize,
    ) -> Result<(String, Tree), PatchError> {
        if depth > 20 {
            return Err(PatchError::TooMuch);
        }
        if part.children().any(|child| child.is_underscored()) {
            return Err(self.bad("a value has an id or extensions of its own: send a JSON Patch"));
        }
        let mut plain = part.children().filter_map(|child| {
            let suffix = child.key()?.strip_prefix("value")?.to_owned();
            Some((suffix, Tree::of(child)))
        });
        if let Some(found) = plain.next() {
            return Ok(found);
        }
        if let Some(resource) = part.get(name::RESOURCE) {
            return Ok((String::new(), Tree::of(resource)));
        }
        let mut members: Vec<(String, Tree)> = Vec::new();
        for own in part.get_key("part").into_iter().flat_map(Value::items) {
            let name = own.get_key("name").and_then(Value::as_str).ok_or(self.bad("a part has no name"))?;
            let below =
                place.child(&name).ok_or(self.bad("a value has a part that its type does not have"))?;
            let (suffix, tree) = self.value_of(own, &below, depth + 1)?;
            let key = below.key(&suffix);
            match members.iter_mut().find(|(known, _)| *known == key) {
                Some((_, Tree::Array(items))) => items.push(tree),
                Some(_) => return Err(self.bad("a value has a part twice that is no list")),
                None if below.list => members.push((key, Tree::Array(vec![tree]))),
                None => members.push((key, tree)),
            }
        }
        if members.is_empty() {
            Err(self.bad("`value` is empty"))
        } else {
            Ok((String::new(), Tree::Object(members)))
        }
    }
}

/// Takes a value away, and the list it stood in where that is empty now: FHIR has no empty lists.
fn take(tree: &mut Tree, place: &[String]) -> Option<()> {
    let (last, parents) = place.split_last()?;
    let emptied = match pointer::get_mut(tree, parents)? {
        Tree::Object(members) => {
            let at = members.iter().position(|(key, _)| key == last)?;
            members.remove(at);
            members.is_empty()
        }
        Tree::Array(items) => {
            items.remove(pointer::index(last).filter(|at| *at < items.len())?);
            items.is_empty()
        }
        _ => return None,
    };
    if emptied && !parents.is_empty() { take(tree, parents) } else { Some(()) }
}

/// The list whose items the places are, all of them.
fn list_of<'t>(tree: &'t mut Tree, places: &[Vec<String>]) -> Option<&'t mut Vec<Tree>> {
    let (_, list) = places.first()?.split_last()?;
    let inside = places.iter().all(|place| place.split_last().is_some_and(|(_, own)| own == list));
    match pointer::get_mut(tree, list)? {
        Tree::Array(items) if inside && items.len() == places.len() => Some(items),
        _ => None,
    }
}

#[cfg(test)]
#[path = "fhirpath_patch_tests.rs"]
mod tests;
