//! Reading value sets with what they refer to: code systems and each other.
//!
//! Value sets import value sets, and nothing stops them from doing so in a circle. Each is read once; one
//! that is being read already, and what lies beyond the bound, count as absent for the one that asks.

use std::sync::Arc;

use super::definitions::{Definitions, Found};
use super::layer::slots;
use super::pack::version_fits;
use super::value_set::Sources;
use super::{CaseRule, CodeSystem, DefinitionError, ValueSet};

/// Most value sets that reading one value set may read.
const MAX_VALUE_SETS: usize = 1_000;

/// A value set being read, with those that wait for it.
pub(super) struct Reading<'d> {
    definitions: &'d Definitions,
    open: Vec<Found>,
    left: usize,
    /// Something was left out because of where the reading began.
    cut: bool,
}

impl<'d> Reading<'d> {
    pub(super) fn new(definitions: &'d Definitions) -> Reading<'d> {
        Reading { definitions, open: Vec::new(), left: MAX_VALUE_SETS, cut: false }
    }

    pub(super) fn read(&mut self, found: Found) -> Result<Arc<ValueSet>, DefinitionError> {
        let (at, entry) = found;
        let layer = self.definitions.layers.get(at).ok_or(DefinitionError::NotFound)?;
        let known = self.definitions.value_sets.get(at).ok_or(DefinitionError::NotFound)?;
        let known = known.get_or_init(|| slots(layer.pack.len()));
        let slot = known.get(entry.index()).ok_or(DefinitionError::NotFound)?;
        if let Some(known) = slot.get() {
            return known.clone();
        }
        self.open.push(found);
        let read = layer.parse(entry, |resource| ValueSet::read(resource, self)).map(Arc::new);
        self.open.pop();
        // What a cycle or the bound cut short is whole only where the reading began.
        if self.cut && !self.open.is_empty() {
            return read;
        }
        slot.get_or_init(|| read).clone()
    }
}

impl Sources for Reading<'_> {
    fn code_system(&mut self, url: &str, version: Option<&str>) -> Option<Arc<CodeSystem>> {
        let held = self.definitions.code_system(url)?;
        let fits =
            version.is_none_or(|asked| held.version.as_deref().is_some_and(|own| version_fits(own, asked)));
        if fits {
            return Some(held);
        }
        self.definitions.code_system(&[url, "|", version.unwrap_or_default()].concat())
    }

    fn supplemented(&mut self, system: Arc<CodeSystem>) -> Arc<CodeSystem> {
        let supplements = self.definitions.supplements(&system.url);
        if supplements.is_empty() {
            return system;
        }
        let whole = |base: CodeSystem, supplement: &Arc<CodeSystem>| base.supplemented(supplement);
        Arc::new(supplements.iter().fold(CodeSystem::clone(&system), whole))
    }

    fn case_rule(&mut self, url: &str) -> CaseRule {
        let found = self.definitions.find("CodeSystem", url);
        let layer = found.and_then(|(at, entry)| Some((self.definitions.layers.get(at)?, entry)));
        // A code system that isn't here says nothing, and codes are case sensitive unless it says otherwise.
        layer.map_or(CaseRule::Sensitive, |(layer, entry)| layer.pack.case_rule(entry))
    }

    fn value_set(&mut self, canonical: &str) -> Option<Arc<ValueSet>> {
        let found = self.definitions.find("ValueSet", canonical)?;
        if self.left == 0 || self.open.contains(&found) {
            self.cut = true;
            return None;
        }
        self.left -= 1;
        self.read(found).ok()
    }
}
