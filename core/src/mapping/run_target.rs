//! What a rule makes: the place of each target, the value put there, and what became of a source for `a.x -> b.y`.

use super::program::{IdentityAction, ParameterCode, RuleCode, TargetCode, ValueCode};
use super::run::{Frame, Item, Place, Ran, Run};
use super::run_error::RunFault;
use super::tree::{NONE, SourceRef};
use super::types::TypeId;

impl<'a> Run<'_, 'a> {
    /// The node that a target writes in, and the element there; `None` for the node itself.
    fn place(&mut self, target: &TargetCode, frame: &Frame<'a>) -> Ran<(u32, Option<Place>)> {
        let context = target.context.and_then(|slot| frame.items.get(usize::from(slot)));
        let Some(Item::Target(node)) = context else {
            let name = target.path.join(".");
            return Err(self.fault(RunFault::NoTarget(name)));
        };
        let mut node = *node;
        let Some((last, before)) = target.path.split_last() else { return Ok((node, None)) };
        for name in before {
            let element = self.element(node, name)?;
            node = self.new_child(node, element, false, false)?;
        }
        let own = self.tree.get(node).map_or(TypeId::UNKNOWN, |it| it.ty);
        if let Some((known, place)) = target.place.get()
            && *known == own
        {
            self.expand(node)?;
            return Ok((node, Some(*place)));
        }
        let ty = self.ty(own);
        if let Some(ty) = &ty
            && ty.primitive().is_some()
            && &**last == "value"
        {
            return Ok((node, None));
        }
        let place = self.element(node, last)?;
        target.place.get_or_init(|| (own, place));
        Ok((node, Some(place)))
    }

    /// The number of an element, and of its type where the name says that.
    fn element(&mut self, node: u32, name: &str) -> Ran<Place> {
        self.expand(node)?;
        let ty = self.tree.get(node).and_then(|it| self.ty(it.ty));
        let found = ty.as_ref().and_then(|ty| match ty.element(name) {
            Some((at, _)) => Some((at, None)),
            None => ty.by_key(name).map(|(at, choice, _)| (at, Some(choice))),
        });
        found.ok_or_else(|| {
            let on = ty.map_or_else(String::new, |it| it.name.to_string());
            self.fault(RunFault::NoElement { on, element: name.to_owned() })
        })
    }

    pub fn target(&mut self, target: &'a TargetCode, frame: &mut Frame<'a>) -> Ran<()> {
        let made = self.made(target, frame)?;
        if let Some(slot) = target.slot
            && let Some(slot) = frame.items.get_mut(usize::from(slot))
        {
            *slot = made;
        }
        Ok(())
    }

    fn made(&mut self, target: &'a TargetCode, frame: &mut Frame<'a>) -> Ran<Item<'a>> {
        if target.context.is_none() {
            let found = self.value(&target.value, frame)?;
            return Ok(found.into_iter().next().unwrap_or_default());
        }
        let (node, element) = self.place(target, frame)?;
        let Some((element, choice)) = element else {
            if matches!(target.value, ValueCode::New) {
                return Ok(Item::Target(node));
            }
            let found = self.value(&target.value, frame)?;
            self.fill(node, found)?;
            self.made_of_value(node, &target.value, frame);
            return Ok(Item::Target(node));
        };
        if matches!(target.value, ValueCode::New | ValueCode::Create(_)) {
            if let Some(name) = &target.share {
                let own = frame.shared.get(frame.scope..).unwrap_or_default();
                let same = |it: &&(Box<str>, u32, u16, u32)| it.0 == *name && it.1 == node && it.2 == element;
                if let Some((.., shared)) = own.iter().find(same) {
                    return Ok(Item::Target(*shared));
                }
            }
            let ty = match target.value {
                ValueCode::Create(ty) => Some(ty),
                _ => None,
            };
            let made = match ty {
                Some(ty) => self.create(node, (element, choice), ty, target)?,
                None => self.new_child(node, (element, choice), target.first, target.single)?,
            };
            self.made_of(made, self.at, false);
            if let Some(name) = &target.share {
                frame.shared.push((name.clone(), node, element, made));
            }
            return Ok(Item::Target(made));
        }
        if !matches!(target.value, ValueCode::Evaluate(_)) {
            let item = self.one(&target.value, frame)?;
            let own = self.assign(node, (element, choice), item, target.first)?;
            self.made_of_value(own, &target.value, frame);
            return Ok(if own == NONE { Item::Nothing } else { Item::Target(own) });
        }
        let found = self.value(&target.value, frame)?;
        let many = found.len();
        let repeats = self.repeats(node, element);
        if many > 1 && !repeats {
            let element = self.label(node, element);
            return Err(self.fault(RunFault::TooManyValues { element, count: many }));
        }
        let mut made = Item::Nothing;
        for item in found {
            let own = self.assign(node, (element, choice), item, target.first)?;
            self.made_of_value(own, &target.value, frame);
            made = if own == NONE { Item::Nothing } else { Item::Target(own) };
        }
        Ok(made)
    }

    /// Notes what a node was made of, for the report of changes.
    fn made_of(&mut self, node: u32, place: Option<SourceRef>, computed: bool) {
        let site = self.site;
        if let Some(recorder) = self.recorder.as_mut().filter(|_| node != NONE) {
            recorder.origins.note(node, place, site, computed);
        }
    }

    /// As [`Run::made_of`], for a value that a transform gave: it was made of the transform's first parameter.
    fn made_of_value(&mut self, node: u32, code: &ValueCode, frame: &Frame<'a>) {
        if self.recorder.is_none() {
            return;
        }
        let from = match code {
            ValueCode::Copy(from)
            | ValueCode::Translate { from, .. }
            | ValueCode::Cast { from, .. }
            | ValueCode::Moment { from, .. } => Some(from),
            ValueCode::Call(_, parameters) => parameters.first(),
            ValueCode::New | ValueCode::Create(_) | ValueCode::Evaluate(_) => None,
        };
        let place = match from {
            Some(ParameterCode::Slot(slot)) => match frame.items.get(usize::from(*slot)) {
                Some(Item::Source(place)) => Some(*place),
                _ => None,
            },
            _ => None,
        };
        self.made_of(node, place, true);
    }

    pub fn identity(&mut self, rule: &'a RuleCode, frame: &mut Frame<'a>) -> Ran<()> {
        let (Some(identity), Some(source), Some(target)) =
            (&rule.identity, rule.sources.first(), rule.targets.first())
        else {
            return Ok(());
        };
        let item = frame.items.get(usize::from(source.slot)).cloned().unwrap_or_default();
        let own = self.type_of(&item);
        let (node, Some(place)) = self.place(target, frame)? else { return Ok(()) };
        let action = identity.actions.iter().find(|(from, _)| *from == own).map(|(_, action)| *action);
        match action {
            Some(IdentityAction::Group(group, ty)) => {
                let Some(group) = self.program.groups.get(group) else { return Ok(()) };
                let made = self.create(node, place, ty, target)?;
                self.made_of(made, self.at, false);
                let mut arguments = self.list();
                arguments.extend([item, Item::Target(made)]);
                self.group(group, arguments)
            }
            Some(IdentityAction::Copy(_)) => self.assign(node, place, item, target.first).map(|_| ()),
            None if identity.open => self.assign(node, place, item, target.first).map(|_| ()),
            None => {
                let to = self.label(node, place.0);
                let from = self.sources.types.describe(own);
                Err(self.fault(RunFault::NoDefault { from, to }))
            }
        }
    }
}
