//! The walk over a document: each value meets the rules of its place, once.
//!
//! Invariant: a value that breaks no rule costs no allocation of ours. A broken rule calls
//! [`Walk::report`], and what explains it is made there. The walk is as deep as the document, bounded by
//! [`Settings::depth`], and ends early once [`Settings::findings`] is reached.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use fhir_models::document::{Document, Format, Kind, Name, NodeId, Value, name};
use fhir_models::primitive::{Primitive, PrimitiveError};

use crate::fhirpath::Temporal;
use crate::terminology::Codes;

use super::finding::{Fault, Finding, Rule};
use super::instances::Instances;
use super::pairs::{PairMap, PairSet};
use super::profile::{Judgement, Profiles};
use super::resources::Resources;
use super::shape::{BOUND, Content, ELEMENT_ID, Entry, RULED, Shape, ShapeKind, Structure};
use super::stream::Listener;
use super::types::Types;
use super::{
    Settings, binding, cardinality, choice, coding, content, datatype, element_id, extension, identifier,
    invariant, narrative, primitive, reference, resource, twin, unknown, uri_form,
};

/// One validation of one document.
pub(super) struct Walk<'v, 'd> {
    pub types: &'v Types,
    pub settings: Settings,
    pub findings: Vec<Finding>,
    /// Codes whose value set could not be consulted.
    pub unknown_codes: usize,
    /// The same by code system, where that is asked for.
    pub unknown_systems: BTreeMap<String, usize>,
    /// True once the bound on findings is reached: nothing more is looked at.
    pub full: bool,
    /// Answers for codes.
    pub codes: Codes<'v>,
    /// The innermost resource.
    pub scope: Scope<'d>,
    pub profiles: &'v Profiles,
    /// Extensions that stand outside other extensions' own parts, in document order.
    pub extensions: Vec<Value<'d>>,
    /// Resources of types that have rules of their own.
    pub special: Vec<Value<'d>>,
    /// Narratives that hold links into the document.
    pub linking: Vec<Value<'d>>,
    /// Resources that claim profiles, in document order.
    pub claims: Vec<Value<'d>>,
    /// Values being checked against profiles, innermost last.
    pub open_profiles: Vec<(NodeId, usize)>,
    /// Values and the profiles that they were checked against.
    pub seen_profiles: PairSet,
    /// Whether a value obeys a profile.
    pub judged: PairMap<Judgement>,
    /// How many `conformsTo()` led here.
    pub nested: usize,
    /// Invariants that could not be evaluated.
    pub unchecked_invariants: usize,
    /// Beginnings of the urls of extensions that need no definition.
    pub authorities: &'v [String],
    /// The time, where it is known.
    pub now: Option<Temporal>,
    /// Profiles that every resource of a type must obey.
    pub typed: &'v [(Name, String)],
    /// Resources outside of the document.
    pub instances: Option<&'v Instances>,
    /// Only errors are noted.
    pub faults_only: bool,
    /// Urls of unknown extensions that have been mentioned.
    pub mentioned: HashSet<String>,
    /// Resources of types that profiles are implied for.
    pub implied: Vec<Value<'d>>,
    /// Texts that begin with `#` and refer to a contained resource, in document order.
    pub fragments: Vec<Value<'d>>,
    /// Hears findings instead of having them collected.
    pub listener: Option<Listener<'v>>,
    /// Findings that were heard; the largest number once nothing more is to be heard.
    pub heard: usize,
    /// How many trials are open: what they find is forgotten.
    pub trials: usize,
    /// How many resources the walk has met: with only one, everything stands in it.
    pub resources_met: usize,
    document: Document<'d>,
    index: Option<Arc<Resources<'d>>>,
    /// How deep the walk is now.
    pub depth: usize,
}

/// What is known about the resource that the walk is in.
#[derive(Debug)]
pub(super) struct Scope<'d> {
    pub resource: NodeId,
    /// The resource that contains it, or itself.
    pub root: NodeId,
    /// Ids of elements met so far.
    pub ids: BTreeSet<Cow<'d, str>>,
}

/// The place of a value in its object: what stands there by definition.
#[derive(Clone, Copy)]
pub(super) struct Place<'v> {
    pub structure: &'v Structure,
    pub shape: &'v Shape,
    pub entry: Entry,
}

impl<'v, 'd> Walk<'v, 'd> {
    pub fn new(
        types: &'v Types,
        profiles: &'v Profiles,
        settings: Settings,
        document: Document<'d>,
        codes: Codes<'v>,
    ) -> Walk<'v, 'd> {
        let scope = Scope { resource: NodeId::ROOT, root: NodeId::ROOT, ids: BTreeSet::new() };
        Walk {
            types,
            settings,
            findings: Vec::new(),
            unknown_codes: 0,
            unknown_systems: BTreeMap::new(),
            full: false,
            codes,
            scope,
            profiles,
            extensions: Vec::new(),
            special: Vec::new(),
            linking: Vec::new(),
            claims: Vec::new(),
            open_profiles: Vec::new(),
            seen_profiles: PairSet::default(),
            judged: PairMap::default(),
            nested: 0,
            unchecked_invariants: 0,
            authorities: &[],
            now: None,
            typed: &[],
            instances: None,
            faults_only: false,
            mentioned: HashSet::new(),
            implied: Vec::new(),
            fragments: Vec::new(),
            listener: None,
            heard: 0,
            trials: 0,
            resources_met: 0,
            document,
            index: None,
            depth: 0,
        }
    }

    /// The resources of the document, found on first use.
    pub fn resources(&mut self) -> Arc<Resources<'d>> {
        let document = self.document;
        Arc::clone(self.index.get_or_insert_with(|| Arc::new(Resources::of(document))))
    }

    /// Notes a broken rule of `element`, seen at `place`.
    #[cold]
    pub fn report(&mut self, element: Value<'d>, place: Value<'d>, fault: Fault) {
        if self.faults_only && !fault.severity.is_error() {
            return;
        }
        self.note(Finding { element: element.id(), place: place.id(), fault });
    }

    /// Adds a finding, within the bound.
    pub fn note(&mut self, finding: Finding) {
        if self.trials == 0
            && let Some(listener) = &mut self.listener
        {
            if self.heard < self.settings.findings {
                self.heard += 1;
                if listener(finding).is_break() {
                    self.heard = usize::MAX;
                }
                self.full |= self.heard >= self.settings.findings;
            }
            return;
        }
        if self.findings.len() < self.settings.findings {
            self.findings.push(finding);
        }
        if self.findings.len() >= self.settings.findings {
            self.full = true;
        }
    }

    /// An object by its shape. `around` is the shape of the object that holds it.
    pub fn object(
        &mut self,
        value: Value<'d>,
        structure: &'v Structure,
        shape: &'v Shape,
        around: ShapeKind,
    ) {
        let before = (self.findings.len(), self.heard);
        let present = self.members(value, structure, shape, false);
        // What is faulty may stand there without content: then being there tells nothing.
        let whole = (self.findings.len(), self.heard) == before && !self.types.evaluates_all();
        for invariant in &shape.invariants {
            if !(whole && invariant.is_idle(present)) {
                invariant::check(self, invariant, Some(value), None, &shape.path, None);
            }
        }
        match shape.kind {
            ShapeKind::Extension => extension::check(self, value, around == ShapeKind::Extension),
            ShapeKind::Reference => reference::check(self, value),
            ShapeKind::Coding => coding::check(self, value),
            ShapeKind::Identifier => identifier::check(self, value),
            ShapeKind::Ruled(datatype) => datatype::check(self, value, datatype),
            _ => {}
        }
    }

    /// The members of an object; gives the elements that stand, one bit each. `substance`: the element has
    /// a value beside them.
    pub fn members(
        &mut self,
        value: Value<'d>,
        structure: &'v Structure,
        shape: &'v Shape,
        mut substance: bool,
    ) -> u128 {
        if self.depth >= self.settings.depth {
            self.report(value, value, content::too_deep(self.settings.depth));
            return 0;
        }
        self.depth += 1;
        let (mut plain, mut twins) = (0u128, 0u128);
        let mut empty = true;
        for child in value.children() {
            if self.full {
                break;
            }
            empty = false;
            let Some(entry) = shape.find(child.name()) else {
                substance = true;
                unknown::report(self, value, child, shape);
                continue;
            };
            substance |= entry.flags & ELEMENT_ID == 0;
            let place = Place { structure, shape, entry };
            let bit = 1u128 << entry.element;
            if child.is_underscored() {
                if !entry.may_have_twin() {
                    unknown::report(self, value, child, shape);
                    continue;
                }
                if entry.is_choice() {
                    choice::check(self, value, child, place, (plain | twins) & bit != 0);
                }
                twins |= bit;
                twin::check(self, value, child, place);
            } else {
                if entry.is_choice() {
                    choice::check(self, value, child, place, (plain | twins) & bit != 0);
                }
                plain |= bit;
                self.member(value, child, place);
            }
        }
        self.depth -= 1;
        let missing = shape.required & !(plain | twins);
        if empty {
            self.report(value, value, content::empty_object());
        } else if !substance && !self.full {
            self.report(value, value, content::only_an_id());
        } else if missing != 0 && !self.full {
            self.missing(value, shape, missing);
        }
        plain | twins
    }

    #[cold]
    pub fn missing(&mut self, value: Value<'d>, shape: &Shape, missing: u128) {
        for (at, element) in shape.elements.iter().enumerate() {
            if missing >> at & 1 == 1 {
                self.report(value, value, cardinality::missing(shape, element));
            }
        }
    }

    /// A member that is not a twin: an array of items, or one value.
    pub fn member(&mut self, object: Value<'d>, value: Value<'d>, place: Place<'v>) {
        match (place.entry.is_array(), value.is_array()) {
            (false, false) => self.item(object, value, place),
            (true, true) => {
                let mut count = 0;
                let mut nulls = false;
                for item in value.children() {
                    count += 1;
                    if item.kind() == Kind::Null && place.entry.may_have_twin() {
                        nulls = true;
                    } else {
                        self.item(object, item, place);
                    }
                    if self.full {
                        return;
                    }
                }
                if nulls {
                    twin::nulls(self, object, value);
                }
                self.count(value, place, count);
            }
            (true, false) => {
                if let Some(element) = place.shape.element(place.entry) {
                    self.report(value, value, cardinality::not_an_array(place.shape, element));
                }
                self.item(object, value, place);
            }
            // In XML nothing is an array: the element stands too often.
            (false, true) if self.document.format() == Format::Xml => {
                if let Some(element) = place.shape.element(place.entry) {
                    let count = value.children().count();
                    self.report(object, value, cardinality::count(place.shape, element, count));
                }
            }
            (false, true) => {
                if let Some(element) = place.shape.element(place.entry) {
                    self.report(value, value, cardinality::an_array(place.shape, element));
                }
            }
        }
    }

    pub fn count(&mut self, value: Value<'d>, place: Place<'v>, count: usize) {
        let Some(element) = place.shape.element(place.entry) else { return };
        if count == 0 {
            self.report(value, value, content::empty_array());
        } else if !element.cardinality.allows(count) {
            self.report(value, value, cardinality::count(place.shape, element, count));
        }
    }

    /// One value by its content.
    pub fn item(&mut self, object: Value<'d>, value: Value<'d>, place: Place<'v>) {
        match place.entry.content {
            Content::Primitive(primitive) => match primitive.check_value(value) {
                Ok(()) if place.entry.flags & (BOUND | ELEMENT_ID | RULED) == 0 => {
                    match primitive {
                        Primitive::String => identifier::plain_text(self, value),
                        Primitive::Uri | Primitive::Url | Primitive::Canonical => {
                            let first = value.raw().as_bytes().get(1);
                            if first == Some(&b'#') {
                                self.fragments.push(value);
                            } else if primitive == Primitive::Uri
                                && uri_form::may_matter(first)
                                && value.name() != name::FULL_URL
                            {
                                uri_form::check(self, value);
                            }
                        }
                        _ => {}
                    }
                    return;
                }
                Ok(()) if place.entry.flags & ELEMENT_ID != 0 => {
                    return element_id::check(self, object, value, place.shape.kind);
                }
                Ok(()) => {}
                Err(error) => return self.broken_primitive(value, error),
            },
            Content::Type(type_name) => {
                if !value.is_object() {
                    return self.report(value, value, content::not_an_object(value, type_name.text()));
                }
                let Some(structure) = self.structure(value, type_name) else { return };
                let Some(shape) = structure.root() else { return };
                self.object(value, structure, shape, place.shape.kind);
                if shape.kind == ShapeKind::Reference {
                    reference::target(self, value, place);
                }
            }
            Content::Shape(number) => {
                if !value.is_object() {
                    return self.report(value, value, content::not_an_object(value, "BackboneElement"));
                }
                let Some(shape) = place.structure.shapes.get(usize::from(number)) else { return };
                self.object(value, place.structure, shape, place.shape.kind);
            }
            Content::Resource => {
                let contained = place.entry.name == name::CONTAINED;
                return resource::check(self, value, contained);
            }
            Content::Narrative => return narrative::check(self, value),
            Content::ResourceType => return,
        }
        if place.entry.is_bound() {
            binding::check(self, value, place);
        }
        if place.entry.flags & RULED != 0
            && let Some(element) = place.shape.element(place.entry)
        {
            for invariant in &element.invariants {
                invariant::check(self, invariant, Some(value), None, place.entry.content.type_name(), None);
            }
        }
    }

    /// The rules of a datatype; says so where the definitions have none.
    pub fn structure(&mut self, value: Value<'d>, type_name: Name) -> Option<&'v Structure> {
        match self.types.structure(type_name) {
            Ok(structure) => Some(structure),
            Err(fault) => {
                self.report(value, value, fault.fault());
                None
            }
        }
    }

    #[cold]
    fn broken_primitive(&mut self, value: Value<'d>, error: PrimitiveError) {
        let fault = match value.kind() {
            Kind::Null => content::null(),
            _ => primitive::explain(error),
        };
        self.report(value, value, fault);
    }
}

impl Rule {
    /// A broken rule of this kind, as an error.
    pub(super) fn error(self, code: crate::outcome::IssueType, message: impl Into<String>) -> Fault {
        Fault::error(self, code, message)
    }
}
