//! Questions that need no machine: the shapes that most invariants and criteria have.
//!
//! Whether a path leads anywhere, whether it leads to one text, and what `and`, `or`, `not`, `implies`, `=`
//! make of such answers is answered by walking the tape; nothing is collected and nothing can fail. What is
//! quick is settled when the expression is compiled. Invariant: the answer is that of the general evaluation.
//! The cost is bounded by the size of the expression times that of the document.

use super::equality::is_textual;
use super::function::Function;
use super::item::NodeRef;
use super::navigate::{Navigator, Taker};
use super::program::{Op, Program, Source};
use super::syntax::{Operator, Ref};

impl Program {
    /// Settles for each operation whether it is quick: to be called when all are there.
    pub fn settle_quick(&mut self) {
        let quick = (0..self.ops.len() as Ref).map(|node| self.could_be_quick(node)).collect();
        self.quick = quick;
    }

    #[inline]
    pub fn is_quick(&self, node: Ref) -> bool {
        self.quick.get(node as usize).copied().unwrap_or(false)
    }

    fn could_be_quick(&self, node: Ref) -> bool {
        match self.op(node) {
            Op::HasContent => true,
            Op::TextEquals { path, .. } => self.is_quick_source(Some(path)),
            Op::Chain(operator, operands) => {
                operator != Operator::Union && self.list(operands).iter().all(|it| self.could_be_quick(*it))
            }
            Op::Binary(operator, left, right) => {
                let joins = matches!(
                    operator,
                    Operator::Xor | Operator::Implies | Operator::Equal | Operator::NotEqual
                );
                joins && self.could_be_quick(left) && self.could_be_quick(right)
            }
            Op::Call(Function::Not, Some(input), _) => self.could_be_quick(input),
            Op::Call(Function::HasValue, None, _) => true,
            Op::Call(Function::Exists | Function::Empty | Function::All, input, arguments) => {
                self.is_quick_source(input)
                    && self.list(arguments).iter().all(|criterion| self.could_be_quick(*criterion))
            }
            _ => false,
        }
    }

    /// True for `$this`, a path from it, and filters of such by quick criteria.
    fn is_quick_source(&self, input: Option<Ref>) -> bool {
        match input.map(|input| self.op(input)) {
            None | Some(Op::Path(Source::This | Source::Typed(_), _)) => true,
            Some(Op::Call(Function::Where, input, arguments)) => {
                self.is_quick_source(input)
                    && self.list(arguments).iter().all(|criterion| self.could_be_quick(*criterion))
            }
            _ => false,
        }
    }
}

impl Navigator<'_> {
    /// The answer of a quick operation with `$this` at a place.
    pub fn quick(&self, program: &Program, node: Ref, this: NodeRef) -> Option<bool> {
        match program.op(node) {
            Op::HasContent => Some(self.has_content(&this)),
            Op::TextEquals { path, text, negated } => {
                let answer = self.quick_text(program, path, program.text(text), this);
                if negated { answer.map(|it| !it) } else { answer }
            }
            Op::Chain(operator, operands) => {
                let decisive = operator == Operator::Or;
                let mut answer = Some(!decisive);
                for operand in program.list(operands) {
                    match self.quick(program, *operand, this) {
                        Some(found) if found == decisive => return Some(decisive),
                        Some(_) => {}
                        None => answer = None,
                    }
                }
                answer
            }
            Op::Binary(Operator::Implies, left, right) => match self.quick(program, left, this) {
                Some(false) => Some(true),
                Some(true) => self.quick(program, right, this),
                None => self.quick(program, right, this).filter(|right| *right),
            },
            Op::Binary(operator, left, right) => {
                let (left, right) = (self.quick(program, left, this)?, self.quick(program, right, this)?);
                Some((left == right) == (operator == Operator::Equal))
            }
            Op::Call(Function::Not, Some(input), _) => self.quick(program, input, this).map(|it| !it),
            Op::Call(Function::HasValue, ..) => Some(self.has_value(&this)),
            Op::Call(function, input, arguments) => {
                let criterion = program.list(arguments).first().copied();
                let holds = |place: NodeRef| {
                    criterion.is_none_or(|criterion| self.quick(program, criterion, place) == Some(true))
                };
                Some(match function {
                    Function::All => self.quick_walk(program, input, this, &mut |place| holds(place)),
                    // The walk goes on while nothing fits.
                    _ => {
                        let none = self.quick_walk(program, input, this, &mut |place| !holds(place));
                        none == (function == Function::Empty)
                    }
                })
            }
            _ => None,
        }
    }

    /// Hands on the places of a quick source; false where the taker ended the walk.
    fn quick_walk(&self, program: &Program, input: Option<Ref>, this: NodeRef, take: Taker<'_>) -> bool {
        let Some(input) = input else { return take(this) };
        match program.op(input) {
            Op::Path(Source::Typed(ty), _) if !self.is_a(&this, ty) => true,
            Op::Path(_, steps) => self.walk(this, program.steps(steps), take),
            Op::Call(_, input, arguments) => {
                let Some(&criterion) = program.list(arguments).first() else { return true };
                self.quick_walk(program, input, this, &mut |place| {
                    self.quick(program, criterion, place) != Some(true) || take(place)
                })
            }
            _ => true,
        }
    }

    /// `path = 'text'`: true where the path leads to one place with this text.
    fn quick_text(&self, program: &Program, path: Ref, wanted: &str, this: NodeRef) -> Option<bool> {
        let mut answer = None;
        self.quick_walk(program, Some(path), this, &mut |found| {
            // A second item: collections of different length are not equal.
            let first = answer.is_none();
            let same = || is_textual(found) && self.value(&found).is_some_and(|value| value.is_str(wanted));
            answer = Some(first && same());
            first
        });
        answer
    }
}
