//! What the presence of elements alone tells about a yes-or-no question.
//!
//! Most invariants of FHIR say which elements stand together: `code.empty() or system.exists()`. Whoever knows
//! which elements an object has can answer these without looking again. A [`Presence`] is the part of an
//! expression that can be answered so. Invariant: its answer, where it has one, is that of the evaluation;
//! what could fail when evaluated stays open, so that a failure is not hidden.

use super::Expression;
use super::function::Function;
use super::program::{List, Op, Program, Source};
use super::syntax::{Operator, Ref};

/// An answer, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    True,
    False,
    /// The expression gives nothing.
    Empty,
    /// It must be evaluated, which can't fail.
    Unsure,
    /// It must be evaluated.
    Open,
}

/// A question about which elements are there, one bit each.
#[derive(Debug)]
pub(crate) enum Presence {
    /// Whether any of them is there. Not `exact`: being there is not enough for a yes.
    Any {
        bits: u128,
        exact: bool,
        sure: bool,
    },
    /// Nothing without any of them.
    Value {
        bits: u128,
        sure: bool,
    },
    Not(Box<Presence>),
    /// `and`, or where `or` is set, `or`.
    Chain {
        or: bool,
        operands: Vec<Presence>,
    },
    Implies(Box<[Presence; 2]>),
    /// `=`, or where `different` is set, `xor` and `!=`.
    Same {
        different: bool,
        sides: Box<[Presence; 2]>,
    },
    Rest {
        sure: bool,
    },
}

impl Expression {
    /// The question that presence can answer; `bit` gives the bit of an element of the focus, 0 for what it
    /// can't have. `None` where nothing can be answered so.
    pub(crate) fn presence(&self, bit: &dyn Fn(&str) -> u128) -> Option<Presence> {
        let found = Reader { program: &self.program, bit }.question(self.program.root);
        (!matches!(found, Presence::Rest { .. })).then_some(found)
    }
}

impl Presence {
    /// The answer for an object that has these elements, each with content.
    pub(crate) fn answer(&self, present: u128) -> Known {
        match self {
            Presence::Any { bits, exact, sure } => match (bits & present != 0, exact) {
                (false, _) => Known::False,
                (true, true) => Known::True,
                (true, false) => open(*sure),
            },
            Presence::Value { bits, .. } if bits & present == 0 => Known::Empty,
            Presence::Value { sure, .. } | Presence::Rest { sure } => open(*sure),
            Presence::Not(inner) => match inner.answer(present) {
                Known::True => Known::False,
                Known::False => Known::True,
                other => other,
            },
            Presence::Chain { or, operands } => chain(*or, operands, present),
            Presence::Implies(sides) => implies(sides, present),
            Presence::Same { different, sides } => {
                let [left, right] = &**sides;
                match (left.answer(present), right.answer(present)) {
                    (Known::Open, _) | (_, Known::Open) => Known::Open,
                    (Known::Empty, _) | (_, Known::Empty) => Known::Empty,
                    (Known::Unsure, _) | (_, Known::Unsure) => Known::Unsure,
                    (left, right) if (left == right) != *different => Known::True,
                    _ => Known::False,
                }
            }
        }
    }
}

fn open(sure: bool) -> Known {
    if sure { Known::Unsure } else { Known::Open }
}

/// The operands are evaluated in their order until one decides.
fn chain(or: bool, operands: &[Presence], present: u128) -> Known {
    let decisive = if or { Known::True } else { Known::False };
    let mut answer = if or { Known::False } else { Known::True };
    for operand in operands {
        match operand.answer(present) {
            found if found == decisive => return decisive,
            Known::Open => return Known::Open,
            Known::Unsure => answer = Known::Unsure,
            Known::Empty if answer != Known::Unsure => answer = Known::Empty,
            _ => {}
        }
    }
    answer
}

fn implies(sides: &[Presence; 2], present: u128) -> Known {
    let [left, right] = sides;
    match left.answer(present) {
        Known::False => Known::True,
        Known::True => right.answer(present),
        Known::Open => Known::Open,
        left => match right.answer(present) {
            Known::True => Known::True,
            Known::Open => Known::Open,
            Known::Unsure => Known::Unsure,
            _ if left == Known::Unsure => Known::Unsure,
            _ => Known::Empty,
        },
    }
}

struct Reader<'p> {
    program: &'p Program,
    bit: &'p dyn Fn(&str) -> u128,
}

impl Reader<'_> {
    fn question(&self, node: Ref) -> Presence {
        let sure = self.program.is_quick(node);
        match self.program.op(node) {
            Op::Call(Function::Exists, Some(input), arguments) => match self.items(input) {
                Some((bits, exact)) => Presence::Any { bits, exact: exact && arguments.len == 0, sure },
                None => Presence::Rest { sure },
            },
            Op::Call(Function::Empty, Some(input), _) => match self.items(input) {
                Some((bits, exact)) => Presence::Not(Box::new(Presence::Any { bits, exact, sure })),
                None => Presence::Rest { sure },
            },
            // Of nothing, all fulfil everything.
            Op::Call(Function::All, Some(input), _) => match self.items(input) {
                Some((bits, _)) => Presence::Not(Box::new(Presence::Any { bits, exact: false, sure })),
                None => Presence::Rest { sure },
            },
            Op::Call(Function::Not, Some(input), _) if self.is_question(input) => {
                Presence::Not(Box::new(self.question(input)))
            }
            Op::TextEquals { path, .. } => match self.items(path) {
                Some((bits, _)) => Presence::Value { bits, sure },
                None => Presence::Rest { sure },
            },
            Op::Chain(operator @ (Operator::And | Operator::Or), operands) => {
                self.chain(operator == Operator::Or, operands)
            }
            Op::Binary(Operator::Implies, left, right) => {
                Presence::Implies(Box::new([self.question(left), self.question(right)]))
            }
            Op::Binary(operator @ (Operator::Xor | Operator::Equal | Operator::NotEqual), left, right)
                if self.is_question(left) && self.is_question(right) =>
            {
                let sides = Box::new([self.question(left), self.question(right)]);
                Presence::Same { different: operator != Operator::Equal, sides }
            }
            _ => Presence::Rest { sure },
        }
    }

    fn chain(&self, or: bool, operands: List) -> Presence {
        let operands = self.program.list(operands).iter().map(|operand| self.question(*operand)).collect();
        Presence::Chain { or, operands }
    }

    /// True for what gives a boolean or nothing.
    fn is_question(&self, node: Ref) -> bool {
        match self.program.op(node) {
            Op::Chain(operator, _) => operator != Operator::Union,
            Op::Call(Function::Exists | Function::Empty | Function::All | Function::Not, ..) => true,
            Op::TextEquals { .. } => true,
            Op::Binary(operator, ..) => {
                matches!(operator, Operator::Xor | Operator::Implies | Operator::Equal | Operator::NotEqual)
            }
            _ => false,
        }
    }

    /// The elements of the focus without any of which a collection is empty, and whether any of them is
    /// enough for it not to be; `None` where that can't be told. Nothing here can fail on an empty collection.
    fn items(&self, node: Ref) -> Option<(u128, bool)> {
        match self.program.op(node) {
            Op::Path(Source::This, steps) => {
                let steps = self.program.steps(steps);
                let first = steps.first()?;
                Some(((self.bit)(&first.text), steps.len() == 1))
            }
            Op::Path(Source::Typed(_), steps) => {
                Some(((self.bit)(&self.program.steps(steps).first()?.text), false))
            }
            Op::Path(Source::Of(input), _) => self.items(input).map(|(bits, _)| (bits, false)),
            Op::Call(
                Function::Where | Function::Select | Function::OfType | Function::First | Function::Last,
                Some(input),
                _,
            ) => self.items(input).map(|(bits, _)| (bits, false)),
            Op::Chain(Operator::Union, operands) => {
                let mut all = (0u128, true);
                for operand in self.program.list(operands) {
                    let (bits, exact) = self.items(*operand)?;
                    all = (all.0 | bits, all.1 && exact);
                }
                Some(all)
            }
            _ => None,
        }
    }
}
