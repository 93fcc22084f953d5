//! Chains: documents that share a prescription number (NRE) are masked together.
//!
//! A prescription, the dispensing and the report that came of it carry the same number. Who masks one of them
//! means all. A document with two numbers joins two chains.

use std::collections::HashMap;

use fhir_models::document::{Value, name};

use super::FseSystems;

/// What is known of the documents that share a prescription number with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Chain {
    /// It has no prescription number.
    #[default]
    Alone,
    /// None of them is masked.
    Open,
    /// One of them is masked.
    Masked,
    /// It has a number, and its chain could not be looked up.
    Unknown,
}

/// The prescription numbers in a resource, each once, wherever an identifier stands in it.
pub(super) fn numbers(resource: Value<'_>, systems: &FseSystems) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for value in resource.descendants().filter(|value| value.is_object()) {
        let Some(system) = value.get(name::SYSTEM) else { continue };
        if !systems.prescription.iter().any(|own| system.is_str(own)) {
            continue;
        }
        if let Some(number) = value.str_of(name::VALUE)
            && !found.iter().any(|own| *own == number)
        {
            found.push(number.into_owned());
        }
    }
    found
}

/// The chains of a patient's documents.
#[derive(Debug, Clone, Default)]
pub struct Chains {
    /// Each number's parent, towards the number that stands for its chain.
    parents: Vec<usize>,
    masked: Vec<bool>,
    places: HashMap<String, usize>,
}

impl Chains {
    /// No document yet.
    pub fn new() -> Chains {
        Chains::default()
    }

    /// Adds a document; `masked` says whether it is masked by itself.
    pub fn add(&mut self, document: Value<'_>, masked: bool, systems: &FseSystems) {
        let numbers = numbers(document, systems);
        let places: Vec<usize> = numbers.into_iter().map(|number| self.place(number)).collect();
        let Some(&first) = places.first() else { return };
        for &other in &places {
            self.join(first, other);
        }
        let root = self.root(first);
        if let Some(own) = self.masked.get_mut(root) {
            *own |= masked;
        }
    }

    /// The chain that a document belongs to. `complete` says whether all of the patient's documents were added.
    pub fn chain_of(&self, document: Value<'_>, complete: bool, systems: &FseSystems) -> Chain {
        let numbers = numbers(document, systems);
        if numbers.is_empty() {
            return Chain::Alone;
        }
        let masked = |number: &String| {
            let root = self.places.get(number).map(|&place| self.root(place));
            root.and_then(|root| self.masked.get(root)).copied().unwrap_or(false)
        };
        match numbers.iter().any(masked) {
            true => Chain::Masked,
            false if complete => Chain::Open,
            false => Chain::Unknown,
        }
    }

    fn place(&mut self, number: String) -> usize {
        let next = self.parents.len();
        let place = *self.places.entry(number).or_insert(next);
        if place == next {
            self.parents.push(next);
            self.masked.push(false);
        }
        place
    }

    fn root(&self, mut place: usize) -> usize {
        while let Some(&parent) = self.parents.get(place) {
            if parent == place {
                break;
            }
            place = parent;
        }
        place
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        if one == other {
            return;
        }
        let masked = self.masked.get(other).copied().unwrap_or(false);
        if let Some(parent) = self.parents.get_mut(other) {
            *parent = one;
        }
        if let Some(own) = self.masked.get_mut(one) {
            *own |= masked;
        }
    }
}
