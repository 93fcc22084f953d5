//! What a run read, and what it left: for each source element that nothing took, the rule that came nearest.
//!
//! An element is read where its value is taken into the result, by a copy, a transform or an expression, or where a
//! condition looked at it. Leaves count: an object whose parts were all read is read.

use std::collections::{BTreeMap, HashMap};

use fhir_models::document::xml::TYPE_MEMBER;
use fhir_models::document::{Document, Kind, Position, Value, name};

use super::change::Origins;
use super::places::Places;
use super::program::Program;
use super::tree::SourceRef;

/// Notes of a run about its first source.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    read: Vec<bool>,
    /// The last rule that looked at a node, and whether it took it.
    rules: HashMap<u32, (usize, bool)>,
    /// Rule by rule.
    pub visits: Vec<(usize, u32)>,
    /// What was made of what.
    pub origins: Origins,
}

/// Most steps of a trace.
const MOST_VISITS: usize = 100_000;

/// A source element that nothing read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Its place, as a FHIRPath expression.
    pub path: String,
    /// Line and column.
    pub position: Position,
    /// The rule that could have read it, and why it did not; `None` where no rule came near.
    pub rule: Option<(String, LossCause)>,
}

/// Why a rule did not read an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossCause {
    /// Its condition, type or list mode passed over the item.
    PassedOver,
    /// It took the item and none of its rules takes this part.
    PartNotTaken,
}

impl LossCause {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            LossCause::PassedOver => "its condition, type or list mode passed over it",
            LossCause::PartNotTaken => "it took what is around, and no rule takes this part",
        }
    }
}

/// One item that a rule worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceStep {
    /// Group and rule.
    pub rule: String,
    /// The map's file, line and column.
    pub map: (String, Position),
    /// The source item, with line and column.
    pub source: (String, Position),
}

impl Recorder {
    pub fn new(document: Option<Document<'_>>) -> Recorder {
        Recorder { read: vec![false; document.map_or(0, Document::len)], ..Recorder::default() }
    }

    /// A place and all below it is read.
    pub fn read(&mut self, place: SourceRef) {
        if place.document != 0 {
            return;
        }
        for node in [place.node, place.twin].into_iter().filter(|it| *it != 0 || place.node == 0) {
            if let Some(own) = self.read.get_mut(node as usize) {
                *own = true;
            }
        }
    }

    pub fn visited(&mut self, place: SourceRef, site: usize) {
        if place.document == 0 {
            self.rules.insert(place.node, (site, true));
            if self.visits.len() < MOST_VISITS {
                self.visits.push((site, place.node));
            }
        }
    }

    pub fn passed_over(&mut self, place: SourceRef, site: usize) {
        if place.document == 0 {
            self.rules.entry(place.node).or_insert((site, false));
        }
    }

    /// The leaves that nothing read, in document order.
    pub fn losses(&self, places: &Places<'_>, program: &Program) -> Vec<Loss> {
        let mut found = Vec::new();
        let Some(root) = places.value(0) else { return found };
        self.look(root, None, &mut |value, near| {
            let rule = near.and_then(|(site, taken)| {
                let label = program.sites.get(site)?.label.to_string();
                Some((label, if taken { LossCause::PartNotTaken } else { LossCause::PassedOver }))
            });
            let node = value.id().number();
            found.push(Loss { path: places.expression(node), position: places.position(node), rule });
        });
        found
    }

    /// How many leaves nothing read, by the rule that came nearest; in the order of their names.
    pub fn counts(&self, document: Document<'_>, program: &Program) -> Vec<(String, u64)> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        self.look(document.root(), None, &mut |_, near| {
            let site = near.and_then(|(site, _)| program.sites.get(site));
            *counts.entry(site.map_or("", |it| &it.label)).or_default() += 1;
        });
        counts.into_iter().map(|(rule, count)| (rule.to_owned(), count)).collect()
    }

    fn look<'d>(
        &self,
        value: Value<'d>,
        above: Option<(usize, bool)>,
        found: &mut impl FnMut(Value<'d>, Option<(usize, bool)>),
    ) {
        let number = value.id().number();
        if self.read.get(number as usize).copied().unwrap_or(false) {
            return;
        }
        let near = self.rules.get(&number).copied().or(above);
        if matches!(value.kind(), Kind::Object | Kind::Array) {
            for child in value.children() {
                // The type is read by whoever starts the map.
                let types =
                    child.name() == name::RESOURCE_TYPE || child.key().is_some_and(|it| it == TYPE_MEMBER);
                if !types {
                    self.look(child, near, found);
                }
            }
            return;
        }
        if value.kind() == Kind::Null {
            return;
        }
        found(value, near);
    }

    pub fn trace(&self, places: &Places<'_>, program: &Program) -> Vec<TraceStep> {
        let step = |(site, node): &(usize, u32)| {
            let site = program.sites.get(*site)?;
            places.value(*node)?;
            let file = program.files.get(site.file).cloned().unwrap_or_default();
            Some(TraceStep {
                rule: site.label.to_string(),
                map: (file, site.position),
                source: (places.expression(*node), places.position(*node)),
            })
        };
        self.visits.iter().filter_map(step).collect()
    }
}
