//! The differential of a profile against its base: every element that it names exists there, in the order of
//! the base, so that a snapshot can be made (FHIR R4 §5.1.0.6, §5.1.0.7).
//!
//! What stops the making of a snapshot is reported on the structure, with the line of the element at fault;
//! an element that finds no place is reported itself too.

use std::collections::HashMap;

use fhir_models::definition::{DefinitionError, ElementDefinition};
use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::super::finding::Rule;
use super::super::profile::plain;
use super::super::walk::Walk;
use super::broken;
use super::element::Holder;
use super::ground::{Found, Narrowed, Place};

/// Checks the differential of a profile whose base is at hand.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, holder: &Holder<'_, 'd>) {
    let Some(ground) = holder.ground else { return };
    let mut narrowed = Narrowed::new();
    let mut placed: Vec<(Value<'d>, ElementDefinition, Place)> = Vec::new();
    let mut lost: Vec<(Value<'d>, String)> = Vec::new();
    for value in holder.elements(name::DIFFERENTIAL) {
        let element = match ElementDefinition::read(value) {
            Ok(element) => element,
            Err(DefinitionError::BadCode(what)) => {
                let what = what.trim_start_matches("element.");
                return stops(walk, holder, value, &format!("its {what} is none that R4 knows"));
            }
            Err(_) => continue,
        };
        if !element.path.contains('.') && element.slicing.is_some() {
            return stops(walk, holder, value, "the root of a profile can't be sliced");
        }
        if element.path.split('.').any(str::is_empty) {
            let message = format!("the path {} has a step without a name", plain(&element.path));
            broken(walk, value, IssueType::Value, message.clone());
            return stops(walk, holder, value, &message);
        }
        if !element.types.is_empty() {
            let codes = element.types.iter().map(|it| it.code.clone()).collect();
            narrowed.insert(element.id.clone(), codes);
        }
        match ground.place(&element, &narrowed) {
            Found::At(place) => placed.push((value, element, place)),
            Found::Missing => {
                let path = plain(&element.path).to_string();
                lost.push((value, format!("{path} is no element of the base: correct its path")));
            }
            Found::NoVariant(choice) => {
                let message = format!(
                    "{} names no type that {choice} has: write {choice}, or a name that ends with one of its types",
                    plain(&element.path)
                );
                return stops(walk, holder, value, &message);
            }
            Found::Unknown => {}
        }
    }
    misplaced(&placed, &mut lost);
    for (value, message) in &lost {
        broken(walk, *value, IssueType::NotFound, message.clone());
    }
    if let Some((first, _)) = lost.first() {
        let message =
            format!("no snapshot can be made: {} of its elements find no place in the base", lost.len());
        walk.report(holder.structure, *first, Rule::Resource.error(IssueType::NotFound, message));
    }
}

/// Elements that the base has before one that the differential names earlier.
fn misplaced<'d>(placed: &[(Value<'d>, ElementDefinition, Place)], lost: &mut Vec<(Value<'d>, String)>) {
    // Siblings: the elements below one id of one definition. Read from the end: least index seen so far.
    let mut least: HashMap<(&str, &str), (usize, &str)> = HashMap::new();
    let mut found = Vec::new();
    for (value, element, place) in placed.iter().rev() {
        let Some((parent, _)) = element.id.rsplit_once('.') else { continue };
        if value.get(name::ID).is_none() {
            return;
        }
        let key = (parent, place.structure.url.as_str());
        let entry = least.entry(key).or_insert((place.index, &element.path));
        if entry.0 < place.index {
            let message = format!(
                "{} stands too early: in the base it comes after {}, which the differential names later",
                plain(&element.path),
                plain(entry.1)
            );
            found.push((*value, message));
        } else {
            *entry = (place.index, &element.path);
        }
    }
    lost.extend(found.into_iter().rev());
}

fn stops<'d>(walk: &mut Walk<'_, 'd>, holder: &Holder<'_, 'd>, at: Value<'d>, cause: &str) {
    let message = format!("no snapshot can be made: {cause}");
    walk.report(holder.structure, at, Rule::Resource.error(IssueType::Invalid, message));
}
