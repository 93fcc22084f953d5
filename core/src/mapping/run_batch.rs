//! Running batches: one walk over the members of an item, and copying whole what its group would not change.
//!
//! Invariant: the result is the one of the same rules run one by one. With a report every rule is run by itself, so
//! that each says what it read.

use fhir_models::document::{Kind, Value, name};

use super::concept_map::CodeAnswer;
use super::program::{Batch, BatchAction, BatchMember, RuleList, RunStep};
use super::run::{Frame, Item, Ran, Run};
use super::tree::{Content, SourceRef};

impl Batch {
    fn member(&self, value: Value<'_>) -> Option<&BatchMember> {
        let index = value.name().index();
        let at = self.members.binary_search_by_key(&index, |it| it.symbol.index()).ok()?;
        self.members.get(at).filter(|_| index != 0)
    }
}

impl<'a> Run<'_, 'a> {
    /// Runs the rules of a list.
    pub fn rules(&mut self, list: &'a RuleList, frame: &mut Frame<'a>) -> Ran<()> {
        if list.batches.is_empty() || self.recorder.is_some() {
            return list.rules.iter().try_for_each(|rule| self.rule(rule, frame));
        }
        for step in &list.steps {
            match step {
                RunStep::Rule(at) => {
                    if let Some(rule) = list.rules.get(*at) {
                        self.rule(rule, frame)?;
                    }
                }
                RunStep::Batch(at) => {
                    if let Some(batch) = list.batches.get(*at) {
                        self.batch(batch, list, frame)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn batch(&mut self, batch: &'a Batch, list: &'a RuleList, frame: &mut Frame<'a>) -> Ran<()> {
        let (site, at) = (self.site, self.at);
        if let Some((place, node)) = self.walkable(batch, frame)
            && let Some(holder) = self.sources.value(place)
        {
            for member in holder.children() {
                if let Some(entry) = batch.member(member) {
                    for item in member.items().filter(|it| it.kind() != Kind::Null) {
                        self.item(entry, (item, place.document), node, list, frame)?;
                    }
                }
            }
        } else {
            for rule in batch.rules.iter().filter_map(|it| list.rules.get(*it)) {
                self.rule(rule, frame)?;
            }
        }
        (self.site, self.at) = (site, at);
        Ok(())
    }

    /// Source and target of a batch where they are of the types that were foreseen, and no primitive has a twin.
    fn walkable(&self, batch: &Batch, frame: &Frame<'a>) -> Option<(SourceRef, u32)> {
        let source = frame.items.get(usize::from(batch.source))?;
        let target = frame.items.get(usize::from(batch.target))?;
        let (Item::Source(place), Item::Target(node)) = (source, target) else { return None };
        let made = self.tree.get(*node)?;
        let fits = place.ty == batch.from
            && !place.bare
            && place.twin == 0
            && made.ty == batch.to
            && !matches!(made.content, Content::Copied(_));
        let holder = self.sources.value(*place).filter(|it| fits && it.is_object())?;
        holder.children().all(|it| !it.is_underscored()).then_some((*place, *node))
    }

    fn item(
        &mut self,
        entry: &'a BatchMember,
        (item, document): (Value<'a>, u16),
        node: u32,
        list: &'a RuleList,
        frame: &mut Frame<'a>,
    ) -> Ran<()> {
        self.step()?;
        let Some(rule) = list.rules.get(entry.rule) else { return Ok(()) };
        let ty = if entry.open { self.sources.own_type(item, entry.ty) } else { entry.ty };
        let place = SourceRef { document, node: item.id().number(), twin: 0, ty, bare: false };
        (self.site, self.at) = (rule.site, Some(place));
        if fits(item, entry) && (entry.repeats || self.tree.last_of(node, entry.element).is_none()) {
            let whole = match entry.action {
                BatchAction::Copy => true,
                BatchAction::Group(group, _) => self.is_whole(group, place)?,
                BatchAction::Translate(map) => self.stays(map, item),
                BatchAction::Open => false,
            };
            if whole {
                let made = self.tree.make(ty, Content::Copied(place));
                self.tree.attach(node, made, (entry.element, entry.choice), false);
                return Ok(());
            }
            if let BatchAction::Group(group, ty) = entry.action
                && let Some(group) = self.program.groups.get(group)
            {
                let made = self.tree.make(ty, Content::Parts);
                self.tree.attach(node, made, (entry.element, entry.choice), false);
                let mut arguments = self.list();
                arguments.extend([Item::Source(place), Item::Target(made)]);
                return self.group(group, arguments);
            }
        }
        let slot = rule.sources.first().map_or(usize::MAX, |it| usize::from(it.slot));
        if let Some(slot) = frame.items.get_mut(slot) {
            *slot = Item::Source(place);
        }
        self.body(rule, frame)
    }

    /// Whether a concept map takes a code as it is.
    fn stays(&self, map: usize, item: Value<'_>) -> bool {
        let (Some(table), Some(code)) = (self.program.code_tables.get(map), item.as_str()) else {
            return false;
        };
        matches!(table.get(&code), Some(CodeAnswer::Stays))
    }

    /// Whether a group would make of an item what stands there. No is always a right answer.
    fn is_whole(&mut self, group: usize, place: SourceRef) -> Ran<bool> {
        let Some(group) = self.program.groups.get(group) else { return Ok(false) };
        let list = &group.rules;
        let ([RunStep::Batch(0)], [batch], None) =
            (list.steps.as_slice(), list.batches.as_slice(), group.base)
        else {
            return Ok(false);
        };
        let value = self.sources.value(place).filter(|it| it.is_object());
        let parameters = (batch.source, batch.target) == (0, 1) && batch.from == batch.to;
        let Some(value) = value.filter(|_| parameters && place.ty == batch.from) else { return Ok(false) };
        let mut some = false;
        for member in value.children() {
            self.step()?;
            let entry = match batch.member(member) {
                Some(entry) if !member.is_underscored() => entry,
                _ => return Ok(false),
            };
            if member.is_array() && (!entry.repeats || member.children().next().is_none()) {
                return Ok(false);
            }
            for item in member.items() {
                some = true;
                let ty = entry.ty;
                let inner = SourceRef {
                    document: place.document,
                    node: item.id().number(),
                    twin: 0,
                    ty,
                    bare: false,
                };
                let own = fits(item, entry)
                    && match entry.action {
                        BatchAction::Copy => true,
                        BatchAction::Group(group, made) => made == ty && self.is_whole(group, inner)?,
                        BatchAction::Translate(map) => self.stays(map, item),
                        BatchAction::Open => false,
                    };
                if !own || item.name() == name::RESOURCE_TYPE {
                    return Ok(false);
                }
            }
        }
        Ok(some)
    }
}

/// Whether a value has the form that its type has.
fn fits(item: Value<'_>, entry: &BatchMember) -> bool {
    match item.kind() {
        Kind::String | Kind::Number | Kind::Boolean => entry.primitive,
        Kind::Object => !entry.primitive,
        Kind::Array | Kind::Null => false,
    }
}
