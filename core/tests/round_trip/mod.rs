//! A way there and back, judged by its reports: whatever differs afterwards must stand in one of them.
//!
//! Places are told by the fullUrl of their entry, since entries may change their order. Order changes are applied to what
//! was sent, so that nothing else may hide behind one.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use serde_json::{Value, json};
use varco_core::mapping::{Change, ChangeKind, CompiledMap, Counted, Output, Settings, regional_map};
use varco_core::validation::Validator;

pub fn compiled(url: &str) -> CompiledMap {
    let map = regional_map(url).unwrap();
    map.compile(&Definitions::r4()).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

pub fn document(text: &str) -> OwnedDocument {
    OwnedDocument::parse_json(text, &Limits::default()).unwrap()
}

/// Runs a map with its reports; without them the result must be the same.
pub fn ran(map: &CompiledMap, source: &Value) -> Result<Output, String> {
    let source = document(&source.to_string());
    let run = |report: bool| {
        let counted = Counted::default();
        let settings = Settings { randomness: Some(&counted), report, ..Settings::default() };
        map.run(&[source.document()], &settings).map_err(|error| error.to_string())
    };
    let output = run(true)?;
    assert_eq!(value(&output), value(&run(false)?), "a run without report gives something else");
    Ok(output)
}

pub fn value(output: &Output) -> Value {
    serde_json::from_str(output.text()).unwrap()
}

pub fn errors(validator: &Validator, text: &str) -> Vec<String> {
    let document = document(text);
    let issues = validator.validate(document.document()).issues;
    let errors = issues.into_iter().filter(|it| it.severity.is_error());
    errors.map(|it| format!("{}: {}", it.expression.unwrap_or_default(), it.message)).collect()
}

pub fn resources<'v>(bundle: &'v Value, kind: &str) -> Vec<&'v Value> {
    let all = bundle["entry"].as_array().unwrap().iter().map(|it| &it["resource"]);
    all.filter(|it| it["resourceType"] == kind).collect()
}

/// What differs after a way there and back and stands in no report.
pub fn unnamed(before: &Value, there: &Output, after: &Value, back: &Output) -> Vec<String> {
    let middle = value(there);
    let mut lost: Vec<String> = there.loss.iter().map(|it| place(before, &it.path)).collect();
    lost.extend(back.loss.iter().map(|it| place(&middle, &it.path)));
    let changes: Vec<(String, &Change)> = there
        .changes
        .iter()
        .map(|it| (place(before, &it.path), it))
        .chain(back.changes.iter().map(|it| (place(&middle, &it.path), it)))
        .collect();
    let mut order: Vec<String> = entries(before).into_iter().map(|it| it.0).collect();
    let mut expected = flat(before);
    for (path, change) in &changes {
        if let ChangeKind::Order { items } = &change.kind {
            if path == "Bundle.entry" {
                order = items.iter().map(|it| order[*it].clone()).collect();
            } else {
                expected = reordered(&expected, path, items);
            }
        }
    }
    let mut after = after.clone();
    for (path, change) in &changes {
        if let ChangeKind::Added { after: added } = &change.kind {
            take_added(before, &mut after, path, added);
        }
    }
    let after = &after;
    let found = flat(after);
    let below = |whole: &str, part: &str| {
        part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let joined = |path: &str| {
        changes.iter().any(|(_, change)| match &change.kind {
            ChangeKind::Joined { lists, .. } => lists.iter().any(|list| {
                let list = place(before, list);
                let list = list.split('[').next().unwrap();
                below(list, path)
            }),
            _ => false,
        })
    };
    let told = |path: &str, wanted: &dyn Fn(&ChangeKind) -> bool| {
        changes.iter().any(|(own, change)| wanted(&change.kind) && below(own, path)) || joined(path)
    };
    let mut unnamed = Vec::new();
    for (path, value) in &expected {
        let named = match found.get(path) {
            Some(same) if same == value => true,
            Some(_) => told(path, &|it| matches!(it, ChangeKind::Value { .. })),
            None => lost.contains(path) || joined(path),
        };
        if !named {
            unnamed.push(format!("{path} was {value}, is {:?}", found.get(path)));
        }
    }
    for (path, value) in found.iter().filter(|(path, _)| !expected.contains_key(*path)) {
        if !told(path, &|it| matches!(it, ChangeKind::Added { .. })) {
            unnamed.push(format!("{path} is added: {value}"));
        }
    }
    let arrived: Vec<String> = entries(after).into_iter().map(|it| it.0).collect();
    let kept: Vec<String> = arrived.iter().filter(|it| order.contains(it)).cloned().collect();
    order.retain(|it| arrived.contains(it));
    if kept != order {
        unnamed.push(format!("entries are in another order: {kept:?}"));
    }
    unnamed
}

/// Takes an item that a report names as added out of its list, if it is there and more are there than before.
fn take_added(before: &Value, bundle: &mut Value, path: &str, added: &str) {
    let Some((list, number)) = path.strip_suffix(']').and_then(|it| it.rsplit_once('[')) else { return };
    let (Ok(number), Ok(added)) = (number.parse::<usize>(), serde_json::from_str::<Value>(added)) else {
        return;
    };
    for entry in bundle["entry"].as_array_mut().unwrap() {
        let name = name(entry);
        let Some(rest) = list.strip_prefix(name.as_str()) else { continue };
        let pointer = rest.replace(['.', '['], "/").replace(']', "");
        let own = entries(before).into_iter().find(|it| list.starts_with(&it.0));
        let count = own.and_then(|it| it.1.pointer(&pointer)?.as_array()).map_or(0, Vec::len);
        if let Some(Value::Array(items)) = entry.pointer_mut(&pointer)
            && items.get(number).is_some_and(|it| *it == added || it["code"] == added["code"])
            && items.len() > count
        {
            items.remove(number);
        }
    }
}

/// The entries of a Bundle by fullUrl. The index entry, of which there is one, has the name of its type: some maps make it anew.
fn entries(bundle: &Value) -> Vec<(String, &Value)> {
    bundle["entry"].as_array().unwrap().iter().map(|it| (name(it), it)).collect()
}

fn name(entry: &Value) -> String {
    let kind = &entry["resource"]["resourceType"];
    let name = if kind == "DocumentReference" { kind } else { &entry["fullUrl"] };
    name.as_str().unwrap().to_owned()
}

/// `Bundle.entry[2].resource.code` by the fullUrl of its entry.
fn place(bundle: &Value, path: &str) -> String {
    let Some((number, rest)) = path.strip_prefix("Bundle.entry[").and_then(|it| it.split_once(']')) else {
        return path.to_owned();
    };
    let number: usize = number.parse().unwrap();
    format!("{}{rest}", entries(bundle)[number].0)
}

/// All values without parts, by place.
fn flat(bundle: &Value) -> BTreeMap<String, Value> {
    fn walk(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(members) => {
                for (key, inner) in members.iter().filter(|(key, _)| *key != "resourceType") {
                    walk(inner, &format!("{path}.{key}"), found);
                }
            }
            Value::Array(items) => {
                for (at, inner) in items.iter().enumerate() {
                    walk(inner, &format!("{path}[{at}]"), found);
                }
            }
            plain => {
                found.insert(path.to_owned(), plain.clone());
            }
        }
    }
    let mut found = BTreeMap::new();
    for (name, entry) in entries(bundle) {
        walk(entry, &name, &mut found);
    }
    let mut rest = bundle.clone();
    rest["entry"] = json!(null);
    walk(&rest, "Bundle", &mut found);
    found
}

/// The items of the list at `path` in their new order.
fn reordered(flat: &BTreeMap<String, Value>, path: &str, items: &[usize]) -> BTreeMap<String, Value> {
    let moved = |own: &String| {
        let rest = own.strip_prefix(path)?.strip_prefix('[')?;
        let (number, rest) = rest.split_once(']')?;
        let number: usize = number.parse().ok()?;
        let now =
            items.iter().position(|it| *it == number).expect("every item of a list in another order is kept");
        Some(format!("{path}[{now}]{rest}"))
    };
    flat.iter().map(|(own, value)| (moved(own).unwrap_or_else(|| own.clone()), value.clone())).collect()
}

/// Numbers that look drawn and are the same each time (a linear congruential generator).
pub struct Dice(pub u64);

impl Dice {
    pub fn of(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.of(of.len() as u64)).unwrap()]
    }

    pub fn chance(&mut self) -> bool {
        self.of(2) == 0
    }
}
