//! Yes-or-no questions, answered without building collections: `true`, `false` or nothing (FHIRPath
//! §Boolean logic, §Singleton Evaluation of Collections).

use super::equality::{is_textual, negated};
use super::error::EvaluationFault;
use super::evaluate::{Machine, Outcome, Scope};
use super::function::Function;
use super::item::{Item, NodeRef};
use super::program::{Literal, Op, Source};
use super::syntax::{Operator, Ref};
use super::system::SystemType;

impl<'a> Machine<'_, 'a> {
    /// An operation's result as a boolean.
    pub fn test(&mut self, node: Ref, scope: &Scope<'_, 'a>) -> Outcome<Option<bool>> {
        self.enter(node)?;
        let answer = self.test_op(node, scope)?;
        self.leave();
        Ok(answer)
    }

    /// As [`Machine::test`]; variables that are defined within are forgotten behind it.
    pub fn test_apart(&mut self, node: Ref, scope: &Scope<'_, 'a>) -> Outcome<Option<bool>> {
        let defined = self.variables.len();
        let answer = self.test(node, scope)?;
        self.variables.truncate(defined);
        Ok(answer)
    }

    pub(super) fn test_op(&mut self, node: Ref, scope: &Scope<'_, 'a>) -> Outcome<Option<bool>> {
        if let [Item::Node(place)] = scope.this
            && self.program.is_quick(node)
        {
            self.charge(node, 1)?;
            return Ok(self.nav.quick(self.program, node, *place));
        }
        match self.program.op(node) {
            Op::Chain(Operator::And, operands) => self.all_of(self.program.list(operands), scope),
            Op::Chain(Operator::Or, operands) => self.any_of(self.program.list(operands), scope),
            Op::TextEquals { path, text, negated: not } => {
                let answer = self.text_equals(path, text, scope)?;
                Ok(if not { negated(answer) } else { answer })
            }
            Op::HasContent => Ok(Some(match scope.this {
                [Item::Node(place)] => self.nav.has_content(place),
                [] => false,
                _ => true,
            })),
            Op::Call(Function::Exists, input, arguments) => {
                let found = self.exists(input, self.program.list(arguments).first().copied(), scope)?;
                Ok(Some(found))
            }
            Op::Call(Function::Empty, input, _) => Ok(Some(!self.exists(input, None, scope)?)),
            _ => self.test_other(node, scope),
        }
    }

    #[inline(never)]
    fn test_other(&mut self, node: Ref, scope: &Scope<'_, 'a>) -> Outcome<Option<bool>> {
        match self.program.op(node) {
            Op::Binary(Operator::Xor, left, right) => {
                let (left, right) = (self.test_apart(left, scope)?, self.test_apart(right, scope)?);
                Ok(left.zip(right).map(|(left, right)| left != right))
            }
            Op::Binary(Operator::Implies, left, right) => match self.test_apart(left, scope)? {
                Some(false) => Ok(Some(true)),
                Some(true) => self.test_apart(right, scope),
                None => Ok(self.test_apart(right, scope)?.filter(|right| *right)),
            },
            Op::Binary(operator @ (Operator::Equal | Operator::NotEqual), left, right)
                if self.is_boolean(left) && self.is_boolean(right) =>
            {
                let (left, right) = (self.test_apart(left, scope)?, self.test_apart(right, scope)?);
                Ok(left.zip(right).map(|(left, right)| (left == right) == (operator == Operator::Equal)))
            }
            Op::Is(input, spec) => self.is_type(node, input, spec, scope),
            Op::Call(Function::All, input, arguments) => {
                let Some(&criterion) = self.program.list(arguments).first() else { return Ok(None) };
                self.all(input, criterion, scope).map(Some)
            }
            Op::Call(Function::Not, input, _) => Ok(self.test_input(node, input, scope)?.map(|it| !it)),
            Op::Call(Function::HasValue, None, _) => Ok(Some(match scope.this {
                [Item::Node(place)] => self.nav.has_value(place),
                [_] => true,
                _ => false,
            })),
            Op::Literal(number) => match self.program.literals.get(number as usize) {
                Some(Literal::Boolean(value)) => Ok(Some(*value)),
                _ => Ok(Some(true)),
            },
            _ => {
                let base = self.stack.len();
                self.eval(node, scope)?;
                self.truth_above(node, base)
            }
        }
    }

    /// The items above `base` as a boolean; they are taken off the stack.
    fn truth_above(&mut self, node: Ref, base: usize) -> Outcome<Option<bool>> {
        let item = self.take_single(node, base, "a boolean")?;
        Ok(item.and_then(|item| self.truth(&item)))
    }

    /// A boolean's value; anything else that stands alone is true.
    pub fn truth(&self, item: &Item<'a>) -> Option<bool> {
        match item {
            Item::Boolean(value) => Some(*value),
            Item::Node(place) if place.ty().converts_to() == Some(SystemType::Boolean) => {
                self.nav.value(place).and_then(|value| value.as_bool())
            }
            Item::Node(place) if place.ty() == super::model::TypeId::UNKNOWN => {
                Some(self.nav.value(place).and_then(|value| value.as_bool()).unwrap_or(true))
            }
            _ => Some(true),
        }
    }

    fn test_input(&mut self, node: Ref, input: Option<Ref>, scope: &Scope<'_, 'a>) -> Outcome<Option<bool>> {
        match (input, scope.this) {
            (Some(input), _) => self.test(input, scope),
            (None, []) => Ok(None),
            (None, [only]) => Ok(self.truth(only)),
            (None, many) => self.stop(node, EvaluationFault::NotSingle("a boolean", many.len())),
        }
    }

    fn all_of(&mut self, operands: &[Ref], scope: &Scope<'_, 'a>) -> Outcome<Option<bool>> {
        let mut answer = Some(true);
        for operand in operands {
            match self.test_apart(*operand, scope)? {
                Some(false) => return Ok(Some(false)),
                Some(true) => {}
                None => answer = None,
            }
        }
        Ok(answer)
    }

    fn any_of(&mut self, operands: &[Ref], scope: &Scope<'_, 'a>) -> Outcome<Option<bool>> {
        let mut answer = Some(false);
        for operand in operands {
            match self.test_apart(*operand, scope)? {
                Some(true) => return Ok(Some(true)),
                Some(false) => {}
                None => answer = None,
            }
        }
        Ok(answer)
    }

    fn exists(&mut self, input: Option<Ref>, criterion: Option<Ref>, scope: &Scope<'_, 'a>) -> Outcome<bool> {
        let mut found = false;
        let Some(criterion) = criterion else {
            self.visit(input, scope, &mut |_, _| {
                found = true;
                Ok(false)
            })?;
            return Ok(found);
        };
        let mut index = 0;
        self.visit(input, scope, &mut |machine, item| {
            let inner = scope.with(std::slice::from_ref(&item), index);
            index += 1;
            found = machine.test_apart(criterion, &inner)? == Some(true);
            Ok(!found)
        })?;
        Ok(found)
    }

    fn all(&mut self, input: Option<Ref>, criterion: Ref, scope: &Scope<'_, 'a>) -> Outcome<bool> {
        let mut all = true;
        let mut index = 0;
        self.visit(input, scope, &mut |machine, item| {
            let inner = scope.with(std::slice::from_ref(&item), index);
            index += 1;
            all = machine.test_apart(criterion, &inner)? == Some(true);
            Ok(all)
        })?;
        Ok(all)
    }

    fn is_type(
        &mut self,
        node: Ref,
        input: Option<Ref>,
        spec: u32,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<Option<bool>> {
        let mut count = 0;
        let mut answer = None;
        self.visit(input, scope, &mut |machine, item| {
            count += 1;
            answer = Some(machine.is_of(&item, spec));
            Ok(true)
        })?;
        if count > 1 {
            return self.stop(node, EvaluationFault::NotSingle("is", count));
        }
        Ok(answer)
    }

    /// `path = 'text'`: true where the path leads to one place with this text.
    fn text_equals(&mut self, path: Ref, text: u32, scope: &Scope<'_, 'a>) -> Outcome<Option<bool>> {
        let program = self.program;
        let wanted = program.text(text);
        let Op::Path(source, list) = program.op(path) else { return Ok(None) };
        self.charge(path, 1)?;
        let nav = self.nav;
        let mut answer = None;
        let mut compare = |found: NodeRef| {
            // A second item: collections of different length are not equal.
            let more = answer.is_none();
            let textual = || is_textual(found) && nav.value(&found).is_some_and(|value| value.is_str(wanted));
            answer = Some(more && textual());
            more
        };
        let steps = program.steps(list);
        match source {
            Source::Resource => {
                if let Some(resource) = self.resource() {
                    nav.walk(resource, steps, &mut compare);
                }
            }
            _ => {
                for item in scope.this {
                    match (item, source) {
                        (Item::Node(place), Source::Typed(ty)) if !nav.is_a(place, ty) => {}
                        (Item::Node(place), _) => {
                            nav.walk(*place, steps, &mut compare);
                        }
                        (Item::TypeInfo(info), Source::This) => {
                            let own = match steps {
                                [only] if &*only.text == "namespace" => info.namespace(),
                                _ => info.name,
                            };
                            return Ok(Some(own == wanted));
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(answer)
    }

    /// True where an operation gives one boolean or nothing, whatever the document holds.
    pub(super) fn is_boolean(&self, node: Ref) -> bool {
        match self.program.op(node) {
            Op::Chain(operator, _) => operator != Operator::Union,
            Op::Binary(operator, ..) => operator.strength() <= Operator::Less.strength(),
            Op::Is(..) | Op::TextEquals { .. } | Op::HasContent => true,
            Op::Call(function, ..) => matches!(
                function,
                Function::Exists | Function::Empty | Function::All | Function::Not | Function::IsDistinct
            ),
            _ => false,
        }
    }
}
