//! Building the result: which type a value takes in its place, what repeats, and what is replaced.

use std::borrow::Cow;

use fhir_models::document::Kind;
use fhir_models::primitive::Primitive;

use super::compile_value::convertible;
use super::output::NoteKind;
use super::program::TargetCode;
use super::run::{Item, Place, Ran, Run};
use super::run_error::RunFault;
use super::tree::{Content, NONE, Scalar, SourceRef};
use super::types::{TypeId, TypeKind};

impl<'a> Run<'_, 'a> {
    /// `Patient.name`, for messages.
    pub fn label(&self, node: u32, element: u16) -> String {
        let ty = self.tree.get(node).and_then(|it| self.ty(it.ty));
        ty.map_or_else(String::new, |ty| {
            let name = ty.elements.get(usize::from(element)).map_or("", |it| &it.name);
            format!("{}.{name}", ty.name)
        })
    }

    pub fn repeats(&self, node: u32, element: u16) -> bool {
        let ty = self.tree.get(node).and_then(|it| self.ty(it.ty));
        ty.is_some_and(|it| it.elements.get(usize::from(element)).is_some_and(|it| it.repeats))
    }

    /// A value as messages show it.
    pub fn shown(&self, item: Option<&Item<'a>>) -> String {
        let text = match item {
            Some(Item::Scalar(scalar)) => scalar.text.to_string(),
            Some(Item::Source(place)) => match self.sources.scalar(*place) {
                Some(scalar) => scalar.text.into_owned(),
                None => self.sources.types.describe(place.ty),
            },
            Some(Item::Target(node)) => {
                self.tree.get(*node).map_or_else(String::new, |it| self.sources.types.describe(it.ty))
            }
            Some(Item::Nothing) | None => "nothing".to_owned(),
        };
        match text.char_indices().nth(100) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text,
        }
    }

    /// A new item of an element's only type; what does not repeat is made once.
    pub fn new_child(&mut self, node: u32, (element, choice): Place, first: bool, single: bool) -> Ran<u32> {
        let ty = self.tree.get(node).and_then(|it| self.ty(it.ty));
        let own = ty.as_ref().and_then(|it| it.elements.get(usize::from(element)));
        let Some(own) = own else { return Ok(NONE) };
        if (!own.repeats || single)
            && let Some(there) = self.tree.last_of(node, element)
        {
            return Ok(there);
        }
        let at = choice.unwrap_or(0);
        let only =
            (own.choices.len() == 1 || choice.is_some()).then(|| own.choices.get(usize::from(at))).flatten();
        let made = only.map(|it| self.sources.types.choice(it)).filter(|it| it.is_known());
        let Some(made) = made else {
            let holds = self.sources.types.describe_all(&self.sources.types.choices(own));
            let element = self.label(node, element);
            return Err(self.fault(RunFault::WrongValue { value: "a new item".to_owned(), element, holds }));
        };
        self.step()?;
        let child = self.tree.make(made, Content::Parts);
        self.tree.attach(node, child, (element, at), first);
        Ok(child)
    }

    /// A new item of a type that the map names.
    pub fn create(&mut self, node: u32, place: Place, ty: TypeId, target: &TargetCode) -> Ran<u32> {
        let (element, _) = place;
        if (!self.repeats(node, element) || target.single)
            && let Some(there) = self.tree.last_of(node, element)
            && self.tree.get(there).is_some_and(|it| it.ty == ty)
        {
            return Ok(there);
        }
        let made = self.tree.make(ty, Content::Parts);
        self.assign(node, place, Item::Target(made), target.first)
    }

    /// Which of an element's types a value takes.
    fn choice(&self, node: u32, (element, forced): Place, ty: TypeId) -> Option<(u16, TypeId)> {
        let own = self.tree.get(node).and_then(|it| self.ty(it.ty))?;
        let element = own.elements.get(usize::from(element))?;
        let types = self.sources.types;
        let allowed = || {
            (0u16..)
                .zip(&element.choices)
                .filter(|(at, _)| forced.is_none_or(|it| it == *at))
                .map(|(at, choice)| (at, types.choice(choice)))
        };
        if let Some(found) = allowed().find(|(_, to)| *to == ty) {
            return Some(found);
        }
        if let Some((at, to)) = allowed().find(|(_, to)| self.is_a(ty, *to)) {
            let open = self.ty(to).is_some_and(|it| it.is_abstract);
            return Some((at, if open { ty } else { to }));
        }
        let from = self.ty(ty)?.primitive()?;
        allowed().find(|(_, to)| {
            self.ty(*to).and_then(|it| it.primitive()).is_some_and(|to| convertible(from, to))
        })
    }

    /// Puts a value in its place. Gives its node; [`NONE`] where there was nothing to put.
    pub fn assign(&mut self, node: u32, place: Place, item: Item<'a>, first: bool) -> Ran<u32> {
        if matches!(item, Item::Nothing) {
            return Ok(NONE);
        }
        self.step()?;
        let own = self.type_of(&item);
        let Some((choice, ty)) = self.choice(node, place, own) else {
            return Err(self.misfit(node, place.0, &item));
        };
        let child = match item {
            Item::Target(other)
                if self.tree.get(other).is_some_and(|it| it.parent == NONE)
                    && !self.tree.is_within(node, other) =>
            {
                other
            }
            Item::Target(other) => {
                let depth = self.limits().depth;
                let copy = self.tree.duplicate(other, depth);
                copy.ok_or_else(|| self.fault(RunFault::Limit(depth as u64, "levels of elements")))?
            }
            item => {
                let content = match self.content(&item, ty) {
                    Some(content) => content,
                    None => return Err(self.misfit(node, place.0, &item)),
                };
                self.tree.make(ty, content)
            }
        };
        if let Some(made) = self.tree.get_mut(child) {
            made.ty = ty;
        }
        if self.ty(ty).is_some_and(|it| it.namespace.is_some()) {
            self.expand_all(child, 0)?;
        }
        if !self.repeats(node, place.0)
            && let Some(there) = self.tree.last_of(node, place.0)
        {
            if !self.same(there, child) {
                let element = self.label(node, place.0);
                self.note(NoteKind::Replaced(element));
            }
            self.tree.detach(there);
        }
        self.tree.attach(node, child, (place.0, choice), first);
        Ok(child)
    }

    #[cold]
    fn misfit(&self, node: u32, element: u16, item: &Item<'a>) -> super::run::Fault {
        let own = self.tree.get(node).and_then(|it| self.ty(it.ty));
        let holds = own
            .as_ref()
            .and_then(|it| it.elements.get(usize::from(element)))
            .map_or_else(String::new, |it| self.sources.types.describe_all(&self.sources.types.choices(it)));
        let (value, element) = (self.shown(Some(item)), self.label(node, element));
        self.fault(RunFault::WrongValue { value, element, holds })
    }

    /// A value as content of this type; `None` where it doesn't fit.
    fn content(&mut self, item: &Item<'a>, ty: TypeId) -> Option<Content<'a>> {
        let primitive = self.ty(ty).and_then(|it| it.primitive());
        match item {
            Item::Source(place) => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.read(*place);
                }
                let Some(primitive) = primitive else {
                    return self.sources.value(*place)?.is_object().then_some(Content::Copied(*place));
                };
                let Some(scalar) = self.sources.scalar(*place) else {
                    return place.bare.then_some(Content::Copied(*place));
                };
                if place.ty == ty
                    || (scalar.kind == primitive.json_kind() && primitive.is_valid(&scalar.text))
                {
                    return Some(Content::Copied(*place));
                }
                value_as(scalar, primitive)
            }
            Item::Scalar(scalar) => {
                if scalar.ty == ty && primitive.is_some_and(|it| it.json_kind() == scalar.kind) {
                    return Some(Content::Value(scalar.kind, scalar.text.clone()));
                }
                value_as(scalar.clone(), primitive?)
            }
            Item::Target(_) | Item::Nothing => None,
        }
    }

    /// Gives a node itself a value.
    pub fn fill(&mut self, node: u32, found: Vec<Item<'a>>) -> Ran<()> {
        let mut found = found.into_iter();
        let Some(item) = found.next() else { return Ok(()) };
        let Some(ty) = self.tree.get(node).map(|it| it.ty) else { return Ok(()) };
        let name = self.sources.types.describe(ty);
        let more = found.count();
        if more > 0 {
            return Err(self.fault(RunFault::TooManyValues { element: name, count: more + 1 }));
        }
        let same = self.sources.types.is_a(self.type_of(&item), ty)
            || self.ty(ty).is_some_and(|it| it.primitive().is_some());
        let content = if same { self.content(&item, ty) } else { None };
        let Some(content) = content else {
            let value = self.shown(Some(&item));
            return Err(self.fault(RunFault::WrongValue { value, element: name.clone(), holds: name }));
        };
        if let Some(own) = self.tree.get_mut(node) {
            own.content = content;
        }
        if self.ty(ty).is_some_and(|it| it.namespace.is_some()) {
            self.expand_all(node, 0)?;
        }
        Ok(())
    }

    fn same(&self, one: u32, two: u32) -> bool {
        let text = |node: u32| match self.tree.get(node).map(|it| &it.content) {
            Some(Content::Value(_, text)) => Some(text.clone()),
            Some(Content::Copied(place)) => self.sources.scalar(*place).map(|it| it.text),
            _ => None,
        };
        matches!((text(one), text(two)), (Some(one), Some(two)) if one == two)
    }

    /// Turns what is copied whole into its parts, so that rules can write beside them.
    pub fn expand(&mut self, node: u32) -> Ran<()> {
        let Some((ty, &Content::Copied(place))) = self.tree.get(node).map(|it| (it.ty, &it.content)) else {
            return Ok(());
        };
        let Some(own) = self.ty(ty) else { return Ok(()) };
        let holder = match own.primitive() {
            // The value stays where it is; its id and extensions become parts.
            Some(_) => self.sources.twin(place),
            None => self.sources.value(place),
        };
        let content = match own.primitive() {
            Some(_) => {
                self.sources.scalar(place).map_or(Content::Parts, |it| Content::Value(it.kind, it.text))
            }
            None => Content::Parts,
        };
        if let Some(node) = self.tree.get_mut(node) {
            node.content = content;
        }
        let Some(holder) = holder else { return Ok(()) };
        for member in holder.children() {
            let Some(key) = member.key() else { continue };
            let bare = match key.strip_prefix('_') {
                Some(bare) if own.by_key(bare).is_some() => {
                    // A twin is taken with its value, unless it stands alone.
                    if holder.get_key(bare).is_some() {
                        continue;
                    }
                    bare.to_owned()
                }
                _ => key.clone().into_owned(),
            };
            let Some((element, choice, definition)) = own.by_key(&bare) else { continue };
            let Some(one) = definition.choices.get(usize::from(choice)) else { continue };
            let ty = self.sources.types.choice(one);
            let step = super::program::StepCode { name: bare.into(), known: Vec::new(), own_value: false };
            let mut found = Vec::new();
            let from = SourceRef { node: holder.id().number(), twin: 0, ty: own.id, bare: false, ..place };
            self.sources.step(from, &step, &mut found);
            for part in found {
                self.step()?;
                let ty = if part.ty.is_known() { part.ty } else { ty };
                let child = self.tree.make(ty, Content::Copied(part));
                self.tree.attach(node, child, (element, choice), false);
            }
        }
        Ok(())
    }

    fn expand_all(&mut self, node: u32, depth: usize) -> Ran<()> {
        if depth > self.limits().depth {
            return Err(self.fault(RunFault::Limit(self.limits().depth as u64, "levels of elements")));
        }
        let whole =
            self.tree.get(node).and_then(|it| self.ty(it.ty)).is_some_and(|it| it.kind == TypeKind::Logical);
        if !whole {
            return Ok(());
        }
        self.expand(node)?;
        let children: Vec<u32> = self.tree.children(node).map(|(at, _)| at).collect();
        children.into_iter().try_for_each(|child| self.expand_all(child, depth + 1))
    }

    /// A node of this type with simple parts; those that are absent are left out.
    pub fn built(&mut self, type_name: &str, parts: &[(&str, Option<Scalar<'a>>)]) -> Ran<Item<'a>> {
        let node = self.tree.make(self.sources.types.find(type_name), Content::Parts);
        for (name, scalar) in parts {
            let Some(scalar) = scalar else { continue };
            let found =
                self.tree.get(node).and_then(|it| self.ty(it.ty)).and_then(|it| Some(it.element(name)?.0));
            if let Some(element) = found {
                self.assign(node, (element, None), Item::Scalar(scalar.clone()), false)?;
            }
        }
        Ok(Item::Target(node))
    }

    /// Puts a made part into a made whole.
    pub fn put(&mut self, node: u32, name: &str, item: Item<'a>) -> Ran<()> {
        let found =
            self.tree.get(node).and_then(|it| self.ty(it.ty)).and_then(|it| Some(it.element(name)?.0));
        match found {
            Some(element) => self.assign(node, (element, None), item, false).map(|_| ()),
            None => Ok(()),
        }
    }
}

/// A value as one of another primitive type, if its text fits the grammar.
fn value_as(scalar: Scalar<'_>, to: Primitive) -> Option<Content<'_>> {
    let Scalar { kind, text, .. } = scalar;
    if to.is_valid(&text) {
        return Some(Content::Value(to.json_kind(), text));
    }
    // XML allows a plus sign and leading blanks that JSON does not.
    let trimmed = text.trim().to_owned();
    let fits = kind == Kind::String && to.json_kind() != Kind::String && to.is_valid(&trimmed);
    fits.then(|| Content::Value(to.json_kind(), Cow::Owned(trimmed)))
}
