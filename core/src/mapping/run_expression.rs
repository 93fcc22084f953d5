//! FHIRPath as a map runs: its variables go in, values and places come out.

use std::borrow::Cow;

use fhir_models::document::{Kind, Limits as DocumentLimits, OwnedDocument, Value};

use super::program::Slot;
use super::run::{Frame, Item, Ran, Run};
use super::run_error::RunFault;
use super::structure::is_fhir;
use super::tree::{Scalar, SourceRef};
use super::types::TypeId;
use super::write::Writer;
use crate::fhirpath::{
    Answer, Argument, Collection, Context, Decimal, EvaluationError, Focus, Profiles, Scalar as Found,
    Temporal,
};
use crate::validation::Validator;

/// One answer, with what it needs of the document that it was found in.
type Variables<'v> = Vec<(&'v str, Vec<Argument<'v>>)>;

impl<'a> Run<'_, 'a> {
    /// Evaluates an expression.
    pub fn evaluate(&mut self, code: usize, focus: Option<Slot>, frame: &Frame<'a>) -> Ran<Vec<Item<'a>>> {
        let mut found = Vec::new();
        let answer = self.ask(code, focus, frame, |run, answer| {
            let answer = answer?;
            for item in answer.iter() {
                found.push(run.taken(&item));
            }
            Ok(())
        });
        self.settle(code, answer)?;
        let mut items = Vec::with_capacity(found.len());
        for item in found {
            items.push(match item {
                Taken::Item(item) => item,
                Taken::Quantity(value, unit, code) => {
                    let decimal = Scalar {
                        ty: self.sources.types.find("decimal"),
                        kind: Kind::Number,
                        text: Cow::Owned(value),
                    };
                    let system = code.as_ref().map(|_| self.string("http://unitsofmeasure.org"));
                    let (unit, code) = (unit.map(|it| self.string(it)), code.map(|it| self.string(it)));
                    let parts =
                        [("value", Some(decimal)), ("unit", unit), ("system", system), ("code", code)];
                    self.built("Quantity", &parts)?
                }
            });
        }
        if let Some(recorder) = &mut self.recorder {
            for item in &items {
                if let Item::Source(place) = item {
                    recorder.read(*place);
                }
            }
        }
        Ok(items)
    }

    /// Whether a condition holds; an empty answer is no.
    pub fn holds(&mut self, code: usize, focus: Slot, frame: &Frame<'a>) -> Ran<bool> {
        if let Some((ty, condition)) = self.program.expressions.get(code).and_then(|it| it.simple.as_ref())
            && self.recorder.is_none()
            && let Some(Item::Source(place)) = frame.items.get(usize::from(focus))
            && (place.ty, place.bare, place.twin) == (*ty, false, 0)
            && let Some(item) = self.sources.value(*place).filter(|it| it.is_object())
            && let Ok(holds) = condition.holds(item)
        {
            return Ok(holds.unwrap_or(false));
        }
        let mut holds = false;
        let answer = self.ask(code, Some(focus), frame, |_, answer| {
            let answer = answer?;
            holds = answer.as_boolean().unwrap_or(answer.len() == 1);
            Ok(())
        });
        self.settle(code, answer)?;
        Ok(holds)
    }

    fn settle(&self, code: usize, answer: Result<(), String>) -> Ran<()> {
        answer.map_err(|cause| {
            let expression = self.program.expressions.get(code).map_or("", |it| it.expression.text());
            self.fault(RunFault::Expression { expression: expression.to_owned(), cause })
        })
    }

    fn ask(
        &mut self,
        code: usize,
        focus: Option<Slot>,
        frame: &Frame<'a>,
        take: impl FnOnce(&Self, Result<&Collection<'_>, String>) -> Result<(), String>,
    ) -> Result<(), String> {
        let program = self.program;
        let Some(code) = program.expressions.get(code) else { return Ok(()) };
        self.note_reads(code, focus, frame);
        let item = |slot: Slot| frame.items.get(usize::from(slot)).cloned().unwrap_or_default();
        // What is being made has no document yet: it is written into one of its own.
        let mut made: Vec<(Slot, OwnedDocument)> = Vec::new();
        let slots = code.variables.iter().map(|(_, slot)| *slot).chain(focus);
        for slot in slots {
            if let Item::Target(node) = item(slot)
                && !made.iter().any(|(own, _)| *own == slot)
            {
                made.push((slot, self.document_of(node)?));
            }
        }
        let scalars: Vec<(Slot, Scalar<'a>)> = code
            .variables
            .iter()
            .map(|(_, slot)| *slot)
            .filter_map(|slot| match item(slot) {
                Item::Scalar(scalar) => Some((slot, scalar)),
                _ => None,
            })
            .collect();
        let mut variables: Variables<'_> = Vec::new();
        for (name, slot) in &code.variables {
            let argument = match item(*slot) {
                Item::Nothing => None,
                Item::Source(place) => self.focus_of(place).map(Argument::Value),
                Item::Scalar(_) => scalars
                    .iter()
                    .find(|(own, _)| own == slot)
                    .and_then(|(_, scalar)| self.argument_of(scalar)),
                Item::Target(node) => {
                    let document = made.iter().find(|(own, _)| own == slot).map(|(_, it)| it);
                    document.and_then(|it| self.made_argument(node, it))
                }
            };
            variables.push((name, argument.into_iter().collect()));
        }
        let start = match focus.map(item) {
            Some(Item::Source(place)) => self.focus_of(place),
            Some(Item::Target(_)) => {
                made.iter().find(|(own, _)| Some(*own) == focus).map(|(_, it)| Focus::resource(it.root()))
            }
            Some(Item::Scalar(_) | Item::Nothing) => None,
            None => self.at.and_then(|place| self.focus_of(place)),
        };
        let whole = || self.sources.documents.first().map(|it| Focus::resource(it.root()));
        let Some(start) = start.or_else(whole) else { return Ok(()) };
        let judge = Judge { run: self };
        let context = Context {
            now: self.settings.now,
            variables: &variables,
            profiles: Some(&judge),
            ..Context::default()
        };
        let shown = |error: EvaluationError| error.fault().to_string();
        match code.expression.evaluate(start, &context) {
            Ok(found) => take(self, Ok(&found)),
            Err(error) => take(self, Err(shown(error))),
        }
    }

    fn note_reads(&mut self, code: &super::program::ExpressionCode, focus: Option<Slot>, frame: &Frame<'a>) {
        if self.recorder.is_none() {
            return;
        }
        for read in code.reads.iter().filter(|it| !it.outside) {
            let path = &read.path;
            let Some(Item::Source(place)) =
                read.from.or(focus).and_then(|it| frame.items.get(usize::from(it)))
            else {
                continue;
            };
            let mut places = vec![*place];
            for name in path {
                let step =
                    super::program::StepCode { name: name.clone(), known: Vec::new(), own_value: false };
                let mut next = Vec::new();
                for place in places {
                    self.sources.step(place, &step, &mut next);
                }
                places = next;
            }
            // A bare variable is read where its value is used, not where it is named.
            let plain = |place: &SourceRef| self.sources.scalar(*place).is_some();
            let read: Vec<SourceRef> =
                places.into_iter().filter(|it| !path.is_empty() || plain(it)).collect();
            if let Some(recorder) = &mut self.recorder {
                read.into_iter().for_each(|it| recorder.read(it));
            }
        }
    }

    fn focus_of(&self, place: SourceRef) -> Option<Focus<'a>> {
        let value = self.sources.value(place)?;
        let ty = self.ty(place.ty).and_then(|ty| {
            let known =
                ty.fhirpath.get_or_init(|| is_fhir(&ty.url).then(|| self.model.type_of(&ty.name)).flatten());
            *known
        });
        let Some(ty) = ty else { return Some(Focus::resource(value)) };
        let focus = Focus::element(value, ty);
        Some(match self.sources.twin(place) {
            Some(twin) => focus.with_twin(twin),
            None => focus,
        })
    }

    fn argument_of<'v>(&self, scalar: &'v Scalar<'a>) -> Option<Argument<'v>> {
        let text = &*scalar.text;
        let temporal = |parse: fn(&str) -> Option<Temporal>| parse(text).map(Argument::Temporal);
        let name = self.sources.types.describe(scalar.ty);
        let typed = match (scalar.kind, name.as_str()) {
            (Kind::Boolean, _) => Some(Argument::Boolean(text == "true")),
            (Kind::Number, "decimal") => Decimal::parse(text).map(Argument::Decimal),
            (Kind::Number, _) => text.parse().ok().map(Argument::Integer),
            (_, "date") => temporal(Temporal::parse_date),
            (_, "dateTime" | "instant") => temporal(Temporal::parse_date_time),
            (_, "time") => temporal(Temporal::parse_time),
            _ => None,
        };
        typed.or(Some(Argument::Text(text)))
    }

    fn made_argument<'v>(&self, node: u32, document: &'v OwnedDocument) -> Option<Argument<'v>> {
        let ty = self.tree.get(node).and_then(|it| self.ty(it.ty))?;
        let known =
            ty.fhirpath.get_or_init(|| is_fhir(&ty.url).then(|| self.model.type_of(&ty.name)).flatten());
        let root = document.root();
        Some(Argument::Value(match known {
            Some(known) => Focus::element(root, *known),
            None => Focus::resource(root),
        }))
    }

    /// What was made, as JSON; empty where it is too large.
    pub fn written(&self, node: u32) -> String {
        let most = self.limits().bytes;
        let out = String::new();
        let mut writer =
            Writer { tree: &self.tree, table: self.table, sources: &self.sources, out, most, depth: 0 };
        writer.object(node).map_or_else(|_| String::new(), |_| writer.out)
    }

    /// What was made so far, as a document.
    fn document_of(&self, node: u32) -> Result<OwnedDocument, String> {
        let most = self.limits().bytes;
        let mut writer = Writer {
            tree: &self.tree,
            table: self.table,
            sources: &self.sources,
            out: String::new(),
            most,
            depth: 0,
        };
        let primitive =
            self.tree.get(node).and_then(|it| self.ty(it.ty)).is_some_and(|it| it.primitive().is_some());
        if primitive {
            writer.value(node);
        } else {
            writer.object(node).map_err(|_| "what is made is too large to be looked at".to_owned())?;
        }
        let text = if writer.out.is_empty() { "{}".to_owned() } else { writer.out };
        OwnedDocument::parse_json(text, &DocumentLimits::default()).map_err(|error| error.to_string())
    }

    /// An answer as an item of this run.
    fn taken(&self, item: &crate::fhirpath::ResultItem<'_, '_>) -> Taken<'a> {
        let types = self.sources.types;
        let place = item.value().or_else(|| item.twin());
        if let Some(value) = place {
            let same =
                |it: &fhir_models::document::Document<'a>| std::ptr::eq(it.nodes(), value.document().nodes());
            if let Some(document) = self.sources.documents.iter().position(same) {
                let bare = item.value().is_none();
                let twin = item.twin().map_or(0, |it| it.id().number());
                let ty = self.type_at(value, item.type_name());
                let document = u16::try_from(document).unwrap_or(0);
                return Taken::Item(Item::Source(SourceRef {
                    document,
                    node: value.id().number(),
                    twin,
                    ty,
                    bare,
                }));
            }
        }
        let ty = types.find(item.type_name());
        let (kind, text) = match item.scalar() {
            Some(Found::Boolean(value)) => (Kind::Boolean, value.to_string()),
            Some(Found::Integer(value)) => (Kind::Number, value.to_string()),
            Some(Found::Long(value)) => (Kind::Number, value.to_string()),
            Some(Found::Decimal(value)) => (Kind::Number, value.to_string()),
            Some(Found::String(text)) => (Kind::String, text.into_owned()),
            Some(Found::Temporal(value)) => (Kind::String, value.to_string()),
            Some(Found::Quantity(quantity)) => {
                let shown = quantity.to_string();
                let (value, unit) = shown.split_once(' ').unwrap_or((&shown, ""));
                let unit = unit.trim_matches('\'').to_owned();
                let coded = shown.contains('\'') && !unit.is_empty();
                let code = coded.then(|| unit.clone());
                return Taken::Quantity(value.to_owned(), Some(unit).filter(|it| !it.is_empty()), code);
            }
            None => return Taken::Item(Item::Nothing),
        };
        let ty = if ty.is_known() { ty } else { types.find("string") };
        Taken::Item(Item::Scalar(Scalar { ty, kind, text: Cow::Owned(text) }))
    }

    /// The type of what stands in a source. FHIRPath names a nested element by what it specialises: its own type
    /// is found by its path.
    fn type_at(&self, value: Value<'_>, name: &str) -> TypeId {
        let types = self.sources.types;
        if !matches!(name, "BackboneElement" | "Element" | "") {
            return types.find(name);
        }
        let path = value.expression();
        let mut steps = path.split('.').map(|it| it.split('[').next().unwrap_or_default());
        let mut here = types.find(steps.next().unwrap_or_default());
        for step in steps {
            let Some(ty) = types.get(here) else { break };
            here = match ty.by_key(step) {
                Some((_, choice, element)) => {
                    element.choices.get(usize::from(choice)).map_or(TypeId::UNKNOWN, |it| types.choice(it))
                }
                None => TypeId::UNKNOWN,
            };
        }
        here
    }
}

enum Taken<'a> {
    Item(Item<'a>),
    /// Value, unit, UCUM code.
    Quantity(String, Option<String>, Option<String>),
}

/// Answers `conformsTo()`: a type by its name, a profile by validating the resource.
struct Judge<'j, 'r, 'a> {
    run: &'j Run<'r, 'a>,
}

impl Profiles for Judge<'_, '_, '_> {
    fn conforms_to(&self, value: Value<'_>, profile: &str) -> Answer {
        let types = self.run.sources.types;
        let Some(own) = value.resource_type() else { return Answer::Unknown };
        let bare = profile.split('|').next().unwrap_or_default();
        let Some(definition) = types.definitions.structure(bare) else { return Answer::Unknown };
        if definition.is_type() {
            let fits = types.is_a(types.find(&own), types.find(bare));
            return if fits { Answer::Yes } else { Answer::No };
        }
        if value.id().number() != 0 {
            return Answer::Unknown;
        }
        let mut validators = self.run.validators.borrow_mut();
        let known = validators.iter().position(|(own, _)| own == profile);
        let at = known.unwrap_or_else(|| {
            let validator = Validator::new(std::sync::Arc::clone(&types.definitions)).with_profile(profile);
            validators.push((profile.to_owned(), validator));
            validators.len() - 1
        });
        match validators.get(at).map(|(_, it)| it.validate(value.document()).is_valid()) {
            Some(true) => Answer::Yes,
            Some(false) => Answer::No,
            None => Answer::Unknown,
        }
    }
}
