//! The evaluation: operations push items on one stack, or hand them on one by one.
//!
//! Invariant: an operation leaves on the stack exactly its result, above what was there before. Operations
//! that need only look at items ([`Machine::visit`]) or only ask a yes-or-no question
//! ([`Machine::test`](super::logic)) build no collection. Steps, nesting and items are bounded.

use std::sync::Arc;

use super::context::{Context, Limits};
use super::error::EvaluationFault;
use super::item::{Item, NodeRef, TypeInfo};
use super::navigate::Navigator;
use super::program::{Op, Program};
use super::syntax::{Operator, Ref};

/// What stops an evaluation, and where in the expression.
#[derive(Debug)]
pub(super) struct Stop {
    pub fault: EvaluationFault,
    pub at: usize,
}

pub(super) type Outcome<T> = Result<T, Box<Stop>>;

/// What the names of an operation refer to.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s, 'a> {
    /// `$this`
    pub this: &'s [Item<'a>],
    /// `$index`
    pub index: i32,
    /// `$total`
    pub total: &'s [Item<'a>],
}

impl<'s, 'a> Scope<'s, 'a> {
    pub fn with(self, this: &'s [Item<'a>], index: i32) -> Scope<'s, 'a> {
        Scope { this, index, ..self }
    }
}

pub(super) struct Machine<'m, 'a> {
    pub program: &'a Program,
    pub nav: &'m Navigator<'a>,
    pub context: &'m Context<'a>,
    pub stack: &'m mut Vec<Item<'a>>,
    pub variables: Vec<(Arc<str>, Arc<[Item<'a>]>)>,
    pub limits: Limits,
    steps_left: u64,
    depth: u16,
    pub focus: NodeRef,
}

/// Takes an item; false ends the search.
pub(super) type Visitor<'v, 'm, 'a> = &'v mut dyn FnMut(&mut Machine<'m, 'a>, Item<'a>) -> Outcome<bool>;

impl<'m, 'a> Machine<'m, 'a> {
    #[inline]
    pub fn new(
        program: &'a Program,
        nav: &'m Navigator<'a>,
        context: &'m Context<'a>,
        focus: NodeRef,
        stack: &'m mut Vec<Item<'a>>,
    ) -> Machine<'m, 'a> {
        let limits = context.limits.unwrap_or_default();
        Machine {
            program,
            nav,
            context,
            stack,
            variables: Vec::new(),
            limits,
            steps_left: limits.steps,
            depth: 0,
            focus,
        }
    }

    #[cold]
    pub fn stop<T>(&self, node: Ref, fault: EvaluationFault) -> Outcome<T> {
        Err(Box::new(Stop { fault, at: self.program.at(node) }))
    }

    /// Counts steps.
    pub fn charge(&mut self, node: Ref, steps: u64) -> Outcome<()> {
        match self.steps_left.checked_sub(steps) {
            Some(left) => {
                self.steps_left = left;
                Ok(())
            }
            None => self.stop(node, EvaluationFault::TooManySteps),
        }
    }

    pub fn enter(&mut self, node: Ref) -> Outcome<()> {
        self.charge(node, 1)?;
        if self.depth >= self.limits.depth {
            return self.stop(node, EvaluationFault::TooDeep);
        }
        self.depth += 1;
        Ok(())
    }

    pub fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn check_size(&mut self, node: Ref, before: usize) -> Outcome<()> {
        if self.stack.len() > self.limits.items {
            return self.stop(node, EvaluationFault::TooLarge);
        }
        self.charge(node, (self.stack.len() - before.min(self.stack.len())) as u64)
    }

    /// Pushes the result of an operation.
    pub fn eval(&mut self, node: Ref, scope: &Scope<'_, 'a>) -> Outcome<()> {
        self.enter(node)?;
        let before = self.stack.len();
        self.dispatch(node, scope)?;
        self.check_size(node, before)?;
        self.leave();
        Ok(())
    }

    fn dispatch(&mut self, node: Ref, scope: &Scope<'_, 'a>) -> Outcome<()> {
        match self.program.op(node) {
            Op::Empty => {}
            Op::Literal(number) => {
                let program = self.program;
                self.stack.extend(program.literals.get(number as usize).map(|literal| literal.item()));
            }
            Op::This => self.stack.extend_from_slice(scope.this),
            Op::Index => self.stack.push(Item::Integer(scope.index)),
            Op::Total => self.stack.extend_from_slice(scope.total),
            Op::Variable(variable) => self.variable(node, variable)?,
            Op::Path(source, steps) => self.path(source, steps, scope)?,
            Op::Chain(Operator::And | Operator::Or, _)
            | Op::Is(..)
            | Op::TextEquals { .. }
            | Op::HasContent => {
                let answer = self.test_op(node, scope)?;
                self.stack.extend(answer.map(Item::Boolean));
            }
            Op::Call(function, input, arguments) => self.call(node, function, input, arguments, scope)?,
            _ => self.dispatch_other(node, scope)?,
        }
        Ok(())
    }

    #[inline(never)]
    fn dispatch_other(&mut self, node: Ref, scope: &Scope<'_, 'a>) -> Outcome<()> {
        match self.program.op(node) {
            Op::Indexer(input, index) => self.indexer(node, input, index, scope)?,
            Op::Negate(inner) | Op::Positive(inner) => {
                let negate = matches!(self.program.op(node), Op::Negate(_));
                let value = self.single_of(inner, scope, "a sign")?;
                if let Some(value) = value {
                    let signed = self.signed(node, value, negate)?;
                    self.stack.extend(signed);
                }
            }
            Op::Descending(inner) => self.eval(inner, scope)?,
            Op::Binary(operator, left, right) => self.binary(node, operator, left, right, scope)?,
            Op::Chain(Operator::Union, operands) => {
                let base = self.stack.len();
                for operand in self.program.list(operands) {
                    self.eval_apart(*operand, scope)?;
                }
                self.make_distinct(node, base)?;
            }
            Op::As { input, spec, operation, single } => {
                let base = self.eval_input(input, scope)?;
                let count = self.stack.len() - base;
                if single && count > 1 {
                    return self.stop(node, EvaluationFault::NotSingle(operation, count));
                }
                self.retain(base, |machine, item| machine.is_of(item, spec));
            }
            _ => {}
        }
        Ok(())
    }

    /// As [`Machine::eval`], but variables that are defined within are forgotten behind it.
    pub fn eval_apart(&mut self, node: Ref, scope: &Scope<'_, 'a>) -> Outcome<()> {
        let defined = self.variables.len();
        self.eval(node, scope)?;
        self.variables.truncate(defined);
        Ok(())
    }

    /// Pushes the input of a function and gives the place on the stack where it begins.
    pub fn eval_input(&mut self, input: Option<Ref>, scope: &Scope<'_, 'a>) -> Outcome<usize> {
        let base = self.stack.len();
        match input {
            Some(input) => self.eval(input, scope)?,
            None => self.stack.extend_from_slice(scope.this),
        }
        Ok(base)
    }

    /// The result of an operation, taken off the stack.
    pub fn collect(&mut self, node: Ref, scope: &Scope<'_, 'a>) -> Outcome<Vec<Item<'a>>> {
        let base = self.stack.len();
        self.eval_apart(node, scope)?;
        Ok(self.stack.split_off(base))
    }

    /// The one item of an operation's result, or none.
    pub fn single_of(
        &mut self,
        node: Ref,
        scope: &Scope<'_, 'a>,
        what: &'static str,
    ) -> Outcome<Option<Item<'a>>> {
        let base = self.stack.len();
        self.eval_apart(node, scope)?;
        self.take_single(node, base, what)
    }

    /// Takes the one item above `base` off the stack.
    pub fn take_single(&mut self, node: Ref, base: usize, what: &'static str) -> Outcome<Option<Item<'a>>> {
        let count = self.stack.len() - base;
        if count > 1 {
            return self.stop(node, EvaluationFault::NotSingle(what, count));
        }
        Ok(if count == 1 { self.stack.pop() } else { None })
    }

    /// Keeps the items above `base` that `keep` wants.
    pub fn retain(&mut self, base: usize, keep: impl Fn(&Machine<'m, 'a>, &Item<'a>) -> bool) {
        let mut kept = base;
        for at in base..self.stack.len() {
            if self.stack.get(at).is_some_and(|item| keep(self, item)) {
                self.stack.swap(kept, at);
                kept += 1;
            }
        }
        self.stack.truncate(kept);
    }

    fn indexer(&mut self, node: Ref, input: Ref, index: Ref, scope: &Scope<'_, 'a>) -> Outcome<()> {
        let base = self.stack.len();
        self.eval(input, scope)?;
        let found = self.single_of(index, scope, "an index")?;
        let picked = match found.map(|it| (self.system(&it).and_then(|value| value.whole()), it)) {
            None => None,
            Some((Some(at), _)) => {
                usize::try_from(at).ok().and_then(|at| self.stack.get(base.checked_add(at)?)).cloned()
            }
            Some((None, it)) => return self.wrong_type(node, "an index", "whole numbers", &it),
        };
        self.stack.truncate(base);
        self.stack.extend(picked);
        Ok(())
    }

    /// True where an item is of a type that the expression names.
    pub fn is_of(&self, item: &Item<'a>, spec: u32) -> bool {
        let Some(spec) = self.program.specs.get(spec as usize) else { return false };
        match item {
            Item::Node(place) => {
                let converts = || {
                    let own = place.ty().converts_to();
                    spec.converting && own.is_some() && own == spec.system
                };
                spec.fhir.is_some_and(|ty| self.nav.is_a(place, ty)) || converts()
            }
            other => spec.system.is_some() && other.system_type() == spec.system,
        }
    }

    /// What `type()` says of an item.
    pub fn type_info(&self, item: &Item<'a>) -> TypeInfo {
        match (item, item.system_type()) {
            (_, Some(system)) => TypeInfo { system: true, name: system.name() },
            (Item::Node(place), None) => {
                TypeInfo { system: false, name: self.nav.model.type_name(place.ty()) }
            }
            _ => TypeInfo { system: true, name: "Any" },
        }
    }

    /// The type of an item, for messages.
    pub fn type_text(&self, item: &Item<'a>) -> String {
        let info = self.type_info(item);
        if info.name.is_empty() { "a value of unknown type".to_owned() } else { info.name.to_owned() }
    }

    #[cold]
    pub fn wrong_type<T>(
        &self,
        node: Ref,
        operation: &'static str,
        expected: &'static str,
        item: &Item<'a>,
    ) -> Outcome<T> {
        let found = self.type_text(item);
        self.stop(node, EvaluationFault::WrongType { operation, expected, found })
    }
}
