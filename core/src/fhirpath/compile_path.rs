//! Names in expressions: which element, or which type, a name stands for.
//!
//! A step keeps the element that the definitions give for the type it probably meets, so that the evaluation
//! looks nothing up while the document is of that type.

use fhir_models::document::{Name, name};

use super::compile::{Compiler, Fault, Scope, Typed, Types, merged, system};
use super::error::CompileFault;
use super::function::Function;
use super::model::{Element, Property, TypeId};
use super::program::{List, Op, Source, Step, Variable};
use super::syntax::Ref;
use super::system::SystemType;

impl Compiler<'_> {
    /// A name at the start of a path: an element of `$this`, or the type of `$this`.
    pub(super) fn first_name(&mut self, text: &str, scope: &Scope, at: usize) -> Result<Typed, Fault> {
        let element = Name::of(text);
        let has_element = scope.this.iter().flatten().any(|ty| self.has(*ty, element));
        if !has_element && text.starts_with(|first: char| first.is_ascii_uppercase()) {
            let named = TypeId::of_structure(element);
            if self.model.structure(element).is_some() {
                let fits = |ty: &TypeId| self.model.is_a(*ty, named) || self.model.is_a(named, *ty);
                let possible = scope.this.as_ref().is_none_or(|types| types.iter().any(fits));
                if possible || !self.options.strict {
                    let source = Source::Typed(named);
                    let none = List { start: self.program.steps.len() as u32, len: 0 };
                    return Ok((self.add(Op::Path(source, none), at), Some(vec![named])));
                }
                let on = self.described(&scope.this);
                return Err((CompileFault::WrongContext { path: text.to_owned(), on }, at));
            }
        }
        let start = List { start: self.program.steps.len() as u32, len: 0 };
        let path = self.add(Op::Path(Source::This, start), at);
        self.member(path, scope.this.clone(), text, at)
    }

    fn has(&self, ty: TypeId, element: Name) -> bool {
        self.model.shape(ty).is_some_and(|shape| shape.element(element).is_some())
    }

    /// One more name behind `input`.
    pub(super) fn member(&mut self, input: Ref, types: Types, text: &str, at: usize) -> Result<Typed, Fault> {
        let element = Name::of(text);
        if let Some(types) = &types
            && !types.is_empty()
            && element == name::VALUE
            && types.iter().all(|ty| self.model.is_primitive(*ty))
        {
            let system = types.iter().filter_map(|ty| SystemType::of_name(ty.structure()));
            let result = system.map(TypeId::of_system).collect();
            let none = self.list(&[]);
            return Ok((self.add(Op::Call(Function::GetValue, Some(input), none), at), Some(result)));
        }
        let (result, step) = self.step(types, text, element, at)?;
        let steps = self.program.steps.len() as u32;
        self.program.steps.push(step);
        let node = match self.program.op(input) {
            Op::Path(source, list) if list.start + u32::from(list.len) == steps => {
                let longer = Op::Path(source, List { len: list.len + 1, ..list });
                if let Some((op, _)) = self.program.ops.get_mut(input as usize) {
                    *op = longer;
                }
                input
            }
            Op::This => self.add(Op::Path(Source::This, List { start: steps, len: 1 }), at),
            Op::Variable(Variable::Resource) => {
                self.add(Op::Path(Source::Resource, List { start: steps, len: 1 }), at)
            }
            _ => self.add(Op::Path(Source::Of(input), List { start: steps, len: 1 }), at),
        };
        Ok((node, result))
    }

    fn step(&self, types: Types, text: &str, element: Name, at: usize) -> Result<(Types, Step), Fault> {
        let instance = self.options.instance_names;
        let own = self.options.own_names.and_then(|it| it.get(text));
        let own = own.into_iter().flatten().map(|(key, type_name)| {
            (key.as_str().into(), self.model.type_of(type_name).unwrap_or(TypeId::UNKNOWN))
        });
        let own = own.collect();
        let mut step =
            Step { name: element, text: text.into(), on: TypeId::UNKNOWN, element: None, instance, own };
        let Some(types) = types else { return Ok((None, step)) };
        if types.is_empty() {
            return Ok((Some(Vec::new()), step));
        }
        let mut result = Some(Vec::new());
        let mut found = false;
        for ty in &types {
            if let Some(own) = self.model.shape(*ty).and_then(|shape| shape.element(element)) {
                found = true;
                if step.element.is_none() {
                    (step.on, step.element) = (*ty, Some(own.clone()));
                }
                let types: Vec<TypeId> = own.properties.iter().map(|property| property.ty).collect();
                let open = own.properties.iter().any(|property| property.resource);
                result = merged(result, if open { None } else { Some(types) });
            } else if let Some(property) = self.instance_property(*ty, element) {
                found = true;
                if step.element.is_none() {
                    (step.on, step.element) = (*ty, Some(Element::of(property)));
                }
                result = merged(result, Some(vec![property.ty]));
            } else if self.model.is_open(*ty) {
                found = true;
                result = None;
            } else if ty.system() == Some(SystemType::TypeInfo) && matches!(text, "name" | "namespace") {
                found = true;
                result = merged(result, system(SystemType::String));
            }
        }
        if !found && self.options.strict {
            return Err((self.unknown_element(&types, text), at));
        }
        Ok((if found { result } else { Some(Vec::new()) }, step))
    }

    /// One type of a choice by its name in instances, where such names are taken.
    fn instance_property(&self, ty: TypeId, key: Name) -> Option<Property> {
        let shape = self.model.shape(ty).filter(|_| self.options.instance_names)?;
        shape.property(key).copied()
    }

    fn unknown_element(&self, types: &[TypeId], text: &str) -> CompileFault {
        let named = Name::of(text);
        let choice = types.iter().find_map(|ty| self.model.shape(*ty)?.property(named));
        let hint = match choice {
            Some(property) => format!("write {}, or {0}.ofType(…) for one type", property.element),
            None => {
                let names = types
                    .iter()
                    .filter_map(|ty| self.model.shape(*ty))
                    .flat_map(|shape| shape.element_names());
                match names.min_by_key(|it| distance(it, text)).filter(|it| distance(it, text) <= 2) {
                    Some(near) => format!("did you mean {near}?"),
                    None => "check the spelling".to_owned(),
                }
            }
        };
        CompileFault::UnknownElement {
            element: text.to_owned(),
            on: self.described(&Some(types.to_vec())),
            hint,
        }
    }

    pub(super) fn described(&self, types: &Types) -> String {
        let types = types.as_deref().unwrap_or_default();
        let mut names: Vec<&str> = types.iter().map(|ty| self.model.describe(*ty)).collect();
        names.sort_unstable();
        if names.len() > 6 {
            names.truncate(6);
            names.push("…");
        }
        if names.is_empty() { "this value".to_owned() } else { names.join(" or ") }
    }
}

/// How many single changes turn one short word into the other; large where they have little in common.
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len().abs_diff(right.len()) > 2 || left.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, byte) in left.iter().enumerate() {
        let mut diagonal = at;
        let mut last = at + 1;
        for (column, other) in right.iter().enumerate() {
            let above = row.get(column + 1).copied().unwrap_or(usize::MAX);
            let replaced = diagonal + usize::from(!byte.eq_ignore_ascii_case(other));
            diagonal = above;
            if let Some(slot) = row.get_mut(column) {
                *slot = last;
            }
            last = replaced.min(above + 1).min(last + 1);
        }
        if let Some(slot) = row.get_mut(right.len()) {
            *slot = last;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
