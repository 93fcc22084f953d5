//! Running a compiled map: rules in order, items in order, all within bounds.

use std::cell::RefCell;
use std::sync::Arc;

use fhir_models::document::Document;

use super::output::{Note, NoteKind};
use super::program::{GroupCode, ParameterCode, Program, RuleCode, SourceCode};
use super::report::Recorder;
use super::run_error::{RunError, RunFault};
use super::settings::{Limits, Settings};
use super::source::Sources;
use super::syntax::SourceListMode;
use super::tree::{Content, Scalar, SourceRef, Tree};
use super::types::{Type, TypeId, TypeRef, Types};
use crate::fhirpath::Model;

/// What a variable holds.
#[derive(Debug, Clone, Default)]
pub(super) enum Item<'a> {
    #[default]
    Nothing,
    Source(SourceRef),
    Target(u32),
    Scalar(Scalar<'a>),
}

/// The variables of one execution of a group.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub items: Vec<Item<'a>>,
    /// Items shared by name, with what they were made in.
    pub shared: Vec<(Box<str>, u32, u16, u32)>,
    /// Where those of the innermost rule begin.
    pub scope: usize,
}

/// A fault on its way up: where it is settled only once.
pub(super) type Fault = Box<Located>;
/// A fault, the source item that the rule was at, and the rule.
pub(super) type Located = (RunFault, Option<SourceRef>, usize);
/// An element's number in its type, and that of its type where the name says it.
pub(super) type Place = (u16, Option<u16>);
pub(super) type Ran<T> = Result<T, Fault>;

pub(super) struct Run<'r, 'a> {
    pub program: &'a Program,
    pub model: &'a Arc<Model>,
    pub settings: &'r Settings<'r>,
    pub sources: Sources<'a>,
    pub tree: Tree<'a>,
    pub notes: Vec<Note>,
    pub recorder: Option<Recorder>,
    pub validators: RefCell<Vec<(String, crate::validation::Validator)>>,
    /// The rule at work, and the source item that it looks at.
    pub site: usize,
    pub at: Option<SourceRef>,
    pub table: &'r [Arc<Type>],
    steps: u64,
    depth: usize,
    scratch: Vec<Vec<SourceRef>>,
    /// Lists of items that are empty again.
    lists: Vec<Vec<Item<'a>>>,
}

impl<'r, 'a> Run<'r, 'a> {
    pub fn new(
        program: &'a Program,
        types: &'a Types,
        model: &'a Arc<Model>,
        settings: &'r Settings<'r>,
        table: &'r [Arc<Type>],
        documents: Vec<Document<'a>>,
    ) -> Run<'r, 'a> {
        let recording = settings.report || settings.count_losses;
        let recorder = recording.then(|| Recorder::new(documents.first().copied()));
        Run {
            program,
            model,
            settings,
            sources: Sources { documents, types, met: RefCell::default() },
            tree: Tree::default(),
            notes: Vec::new(),
            recorder,
            validators: RefCell::default(),
            site: 0,
            at: None,
            table,
            steps: 0,
            depth: 0,
            scratch: Vec::new(),
            lists: Vec::new(),
        }
    }

    /// An empty list of items.
    pub fn list(&mut self) -> Vec<Item<'a>> {
        self.lists.pop().unwrap_or_default()
    }

    /// A list that is needed no more.
    fn give_back(&mut self, mut list: Vec<Item<'a>>) {
        list.clear();
        self.lists.push(list);
    }

    pub fn ty(&self, id: TypeId) -> Option<TypeRef<'r>> {
        self.sources.types.known(id, self.table)
    }

    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    #[cold]
    pub fn fault(&self, fault: RunFault) -> Fault {
        Box::new((fault, self.at, self.site))
    }

    #[cold]
    pub fn located(&self, (fault, at, site): Located) -> RunError {
        let site = self.program.sites.get(site);
        let source = at.and_then(|it| self.sources.value(it)).map(|it| (it.expression(), it.position()));
        let file = site.and_then(|it| self.program.files.get(it.file)).cloned().unwrap_or_default();
        let position = site.map_or(fhir_models::document::Position { line: 1, column: 1 }, |it| it.position);
        RunError {
            fault,
            file,
            position,
            rule: site.map_or_else(String::new, |it| it.label.to_string()),
            source,
        }
    }

    pub fn note(&mut self, kind: NoteKind) {
        if self.notes.len() >= self.settings.limits.notes {
            return;
        }
        let source = self.at.and_then(|it| self.sources.value(it)).map(|it| (it.expression(), it.position()));
        let rule = self.program.sites.get(self.site).map_or_else(String::new, |it| it.label.to_string());
        self.notes.push(Note { kind, rule, source });
    }

    pub fn step(&mut self) -> Ran<()> {
        self.steps += 1;
        if self.steps > self.settings.limits.steps {
            return Err(self.fault(RunFault::Limit(self.settings.limits.steps, "steps")));
        }
        if self.tree.nodes.len() > self.settings.limits.nodes {
            return Err(self.fault(RunFault::Limit(self.settings.limits.nodes as u64, "elements")));
        }
        Ok(())
    }

    /// Runs the first group; gives the targets in the order of its parameters.
    pub fn whole(&mut self) -> Ran<Vec<u32>> {
        let program = self.program;
        let given = self.sources.documents.len();
        let takes = program.parameters.iter().filter(|it| !it.target).count();
        if takes != given {
            return Err(self.fault(RunFault::WrongSources { takes, given }));
        }
        let mut document = 0u16;
        let (mut arguments, mut targets) = (Vec::new(), Vec::new());
        for parameter in &program.parameters {
            if parameter.target {
                let node = self.tree.make(parameter.ty, Content::Parts);
                arguments.push(Item::Target(node));
                targets.push(node);
                continue;
            }
            let place = self.sources.root(document, parameter.ty);
            self.right_source(place, parameter.ty)?;
            arguments.push(Item::Source(place));
            document += 1;
        }
        let Some(group) = program.groups.get(program.entry) else { return Ok(targets) };
        self.group(group, arguments)?;
        Ok(targets)
    }

    fn right_source(&self, place: SourceRef, wanted: TypeId) -> Ran<()> {
        let own = self.sources.value(place).and_then(|it| it.resource_type());
        let resource = self.ty(wanted).is_some_and(|it| it.kind == super::types::TypeKind::Resource);
        let given = match own {
            Some(name) if resource && !self.sources.types.is_a(self.sources.types.find(&name), wanted) => {
                name.into_owned()
            }
            None if resource => "no resource".to_owned(),
            _ => return Ok(()),
        };
        let takes = self.sources.types.describe(wanted);
        Err(self.fault(RunFault::WrongSource { takes, given }))
    }

    pub fn group(&mut self, group: &'a GroupCode, mut arguments: Vec<Item<'a>>) -> Ran<()> {
        self.depth += 1;
        if self.depth > self.settings.limits.depth {
            return Err(self.fault(RunFault::Limit(self.settings.limits.depth as u64, "levels of groups")));
        }
        if let Some(base) = group.base.and_then(|it| self.program.groups.get(it)) {
            let mut again = self.list();
            again.extend_from_slice(&arguments);
            self.group(base, again)?;
        }
        arguments.resize(group.slots.max(group.parameters), Item::Nothing);
        let mut frame = Frame { items: arguments, shared: Vec::new(), scope: 0 };
        self.rules(&group.rules, &mut frame)?;
        self.give_back(frame.items);
        self.depth -= 1;
        Ok(())
    }

    pub fn rule(&mut self, rule: &'a RuleCode, frame: &mut Frame<'a>) -> Ran<()> {
        let (site, at) = (self.site, self.at);
        self.site = rule.site;
        self.from(rule, 0, frame)?;
        (self.site, self.at) = (site, at);
        Ok(())
    }

    /// All combinations of the items of a rule's sources, from the `nth` source on.
    fn from(&mut self, rule: &'a RuleCode, nth: usize, frame: &mut Frame<'a>) -> Ran<()> {
        let Some(source) = rule.sources.get(nth) else { return self.body(rule, frame) };
        let mut places = self.scratch.pop().unwrap_or_default();
        places.clear();
        let start = frame.items.get(usize::from(source.context)).cloned().unwrap_or_default();
        let computed = match start {
            Item::Source(place) if source.path.is_empty() => {
                places.push(place);
                None
            }
            Item::Source(place) => {
                self.walk(place, source, &mut places);
                None
            }
            Item::Nothing => None,
            other if source.path.is_empty() => Some(other),
            Item::Target(_) | Item::Scalar(_) => None,
        };
        if places.is_empty() && computed.is_none() && source.default.is_none() && source.min == 0 {
            self.scratch.push(places);
            return Ok(());
        }
        let mut items = self.list();
        items.extend(computed.into_iter().chain(places.iter().map(|it| Item::Source(*it))));
        self.scratch.push(places);
        if items.is_empty()
            && let Some(default) = source.default
        {
            items = self.evaluate(default, None, frame)?;
        }
        self.filter(source, &mut items, frame)?;
        let found = items.len();
        if found < source.min as usize || source.max.is_some_and(|max| found > max as usize) {
            let upper = source.max.map_or_else(|| "*".to_owned(), |it| it.to_string());
            let allowed = format!("{}..{upper}", source.min);
            return Err(self.fault(RunFault::Cardinality {
                element: source.label.to_string(),
                found,
                allowed,
            }));
        }
        let kept = match source.mode {
            None => 0..found,
            Some(SourceListMode::First) => 0..found.min(1),
            Some(SourceListMode::NotFirst) => found.min(1)..found,
            Some(SourceListMode::Last) => found.saturating_sub(1)..found,
            Some(SourceListMode::NotLast) => 0..found.saturating_sub(1),
            Some(SourceListMode::OnlyOne) if found > 1 => {
                return Err(self.fault(RunFault::NotTheOnlyOne { element: source.label.to_string(), found }));
            }
            Some(SourceListMode::OnlyOne) => 0..found,
        };
        let outer = self.at;
        for nth_item in 0..found {
            let item = items.get_mut(nth_item).map(std::mem::take).unwrap_or_default();
            self.step()?;
            if let Item::Source(place) = &item {
                self.at = Some(*place);
            }
            if !kept.contains(&nth_item) {
                self.passed_over(&item);
                continue;
            }
            if let Some(slot) = frame.items.get_mut(usize::from(source.slot)) {
                *slot = item;
            }
            if let Some(check) = source.check
                && !self.holds(check, source.slot, frame)?
            {
                let expression =
                    self.program.expressions.get(check).map_or("", |it| it.expression.text()).to_owned();
                let value = self.shown(frame.items.get(usize::from(source.slot)));
                return Err(self.fault(RunFault::Check { expression, value }));
            }
            if let Some(log) = source.log {
                let found = self.evaluate(log, Some(source.slot), frame)?;
                let text = found.iter().map(|it| self.shown(Some(it))).collect::<Vec<_>>().join(", ");
                self.note(NoteKind::Log(text));
            }
            if let (Some(recorder), Some(Item::Source(place))) =
                (&mut self.recorder, frame.items.get(usize::from(source.slot)))
            {
                recorder.visited(*place, self.site);
            }
            self.from(rule, nth + 1, frame)?;
        }
        self.give_back(items);
        self.at = outer;
        Ok(())
    }

    fn walk(&mut self, from: SourceRef, source: &SourceCode, places: &mut Vec<SourceRef>) {
        let Some((first, rest)) = source.path.split_first() else { return };
        self.sources.step(from, first, places);
        for step in rest {
            let before = std::mem::take(places);
            for place in before {
                self.sources.step(place, step, places);
            }
        }
    }

    fn filter(&mut self, source: &SourceCode, items: &mut Vec<Item<'a>>, frame: &mut Frame<'a>) -> Ran<()> {
        if source.filter.is_none() && source.condition.is_none() {
            return Ok(());
        }
        let outer = self.at;
        let mut kept = 0;
        for nth in 0..items.len() {
            let item = items.get_mut(nth).map(std::mem::take).unwrap_or_default();
            if let Item::Source(place) = &item {
                self.at = Some(*place);
            }
            let right = source.filter.is_none_or(|wanted| self.is_a(self.type_of(&item), wanted));
            let mut taken = right;
            if right && let Some(condition) = source.condition {
                if let Some(slot) = frame.items.get_mut(usize::from(source.slot)) {
                    *slot = item.clone();
                }
                taken = self.holds(condition, source.slot, frame)?;
            }
            if !taken {
                self.passed_over(&item);
            } else if let Some(slot) = items.get_mut(kept) {
                *slot = item;
                kept += 1;
            }
        }
        self.at = outer;
        items.truncate(kept);
        Ok(())
    }

    fn passed_over(&mut self, item: &Item<'a>) {
        if let (Some(recorder), Item::Source(place)) = (&mut self.recorder, item) {
            recorder.passed_over(*place, self.site);
        }
    }

    /// Whether a type is another or one of its kinds.
    pub fn is_a(&self, id: TypeId, wanted: TypeId) -> bool {
        let kind = || {
            let (own, wanted) = (self.ty(id)?, self.ty(wanted)?);
            Some(!wanted.name.contains('.') && own.ancestors.contains(&wanted.url))
        };
        id == wanted || kind().unwrap_or(false)
    }

    pub fn type_of(&self, item: &Item<'a>) -> TypeId {
        match item {
            Item::Nothing => TypeId::UNKNOWN,
            Item::Source(place) => place.ty,
            Item::Scalar(scalar) => scalar.ty,
            Item::Target(node) => self.tree.get(*node).map_or(TypeId::UNKNOWN, |it| it.ty),
        }
    }

    /// What a rule does with one combination of items.
    pub fn body(&mut self, rule: &'a RuleCode, frame: &mut Frame<'a>) -> Ran<()> {
        if rule.identity.is_some() {
            return self.identity(rule, frame);
        }
        for target in &rule.targets {
            let site = std::mem::replace(&mut self.site, target.site);
            self.target(target, frame)?;
            self.site = site;
        }
        for call in &rule.calls {
            let Some(group) = self.program.groups.get(call.group) else { continue };
            let mut arguments = self.list();
            arguments.extend(call.arguments.iter().map(|it| self.argument(it, frame)));
            self.group(group, arguments)?;
        }
        if rule.rules.rules.is_empty() {
            return Ok(());
        }
        self.depth += 1;
        if self.depth > self.settings.limits.depth {
            return Err(self.fault(RunFault::Limit(self.settings.limits.depth as u64, "levels of rules")));
        }
        let scope = std::mem::replace(&mut frame.scope, frame.shared.len());
        self.rules(&rule.rules, frame)?;
        frame.shared.truncate(frame.scope);
        frame.scope = scope;
        self.depth -= 1;
        Ok(())
    }

    pub fn argument(&self, code: &'a ParameterCode, frame: &Frame<'a>) -> Item<'a> {
        match code {
            ParameterCode::Slot(slot) => frame.items.get(usize::from(*slot)).cloned().unwrap_or_default(),
            ParameterCode::Literal(literal) => Item::Scalar(Scalar {
                ty: literal.ty,
                kind: literal.kind,
                text: std::borrow::Cow::Borrowed(&literal.text),
            }),
        }
    }
}
