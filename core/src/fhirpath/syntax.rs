//! The parsed expression: an arena of nodes that refer to each other by number.

use super::calendar::CalendarUnit;
use super::decimal::Decimal;
use super::temporal::Temporal;

/// A node's number.
pub(super) type Ref = u32;

/// An operator between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Times,
    Divide,
    Div,
    Mod,
    Plus,
    Minus,
    Concatenate,
    Union,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Equivalent,
    NotEquivalent,
    In,
    Contains,
    And,
    Or,
    Xor,
    Implies,
}

impl Operator {
    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Operator::Times => "*",
            Operator::Divide => "/",
            Operator::Div => "div",
            Operator::Mod => "mod",
            Operator::Plus => "+",
            Operator::Minus => "-",
            Operator::Concatenate => "&",
            Operator::Union => "|",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Equivalent => "~",
            Operator::NotEquivalent => "!~",
            Operator::In => "in",
            Operator::Contains => "contains",
            Operator::And => "and",
            Operator::Or => "or",
            Operator::Xor => "xor",
            Operator::Implies => "implies",
        }
    }

    /// How tightly it binds; more binds tighter.
    pub fn strength(self) -> u8 {
        match self {
            Operator::Implies => 1,
            Operator::Or | Operator::Xor => 2,
            Operator::And => 3,
            Operator::In | Operator::Contains => 4,
            Operator::Equal | Operator::NotEqual | Operator::Equivalent | Operator::NotEquivalent => 5,
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => 6,
            Operator::Union => 7,
            Operator::Plus | Operator::Minus | Operator::Concatenate => 9,
            Operator::Times | Operator::Divide | Operator::Div | Operator::Mod => 10,
        }
    }
}

/// How tightly `is` and `as` bind.
pub(super) const TYPE_STRENGTH: u8 = 8;

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Syntax {
    Empty,
    Boolean(bool),
    Text(Box<str>),
    Integer(i32),
    Long(i64),
    Decimal(Decimal),
    Temporal(Temporal),
    /// A number and a calendar word, or a quoted unit.
    Quantity(Decimal, Unit),
    This,
    Index,
    Total,
    /// `%name`
    External(Box<str>),
    /// A name; of the input, or of `$this` where there is none.
    Member(Option<Ref>, Box<str>),
    Call(Option<Ref>, Box<str>, Box<[Ref]>),
    Indexer(Ref, Ref),
    Negate(Ref),
    /// `+x`
    Positive(Ref),
    Binary(Operator, Ref, Ref),
    /// `and`, `or` and `|` between more than two.
    Chain(Operator, Vec<Ref>),
    /// `is` or `as` (true) with a name, perhaps qualified.
    TypeTest(bool, Ref, Box<str>),
    /// A sort key from high to low.
    Descending(Ref),
}

/// A quantity literal's unit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Unit {
    Calendar(CalendarUnit, bool),
    Quoted(Box<str>),
}

/// A parsed expression.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<(Syntax, u32)>,
    depths: Vec<u16>,
}

impl Tree {
    pub fn syntax(&self, node: Ref) -> &Syntax {
        self.nodes.get(node as usize).map_or(&Syntax::Empty, |(syntax, _)| syntax)
    }

    /// Where it stands in the text, in bytes.
    pub fn at(&self, node: Ref) -> usize {
        self.nodes.get(node as usize).map_or(0, |(_, at)| *at as usize)
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn depth(&self, node: Ref) -> u16 {
        self.depths.get(node as usize).copied().unwrap_or(0)
    }

    pub fn add(&mut self, syntax: Syntax, at: usize) -> Ref {
        let below = |refs: &[Ref]| refs.iter().map(|it| self.depth(*it)).max().unwrap_or(0);
        let depth = 1 + match &syntax {
            Syntax::Member(input, _) => input.map_or(0, |it| self.depth(it)),
            Syntax::Call(input, _, arguments) => input.map_or(0, |it| self.depth(it)).max(below(arguments)),
            Syntax::Indexer(left, right) | Syntax::Binary(_, left, right) => below(&[*left, *right]),
            Syntax::Chain(_, operands) => below(operands),
            Syntax::Negate(inner)
            | Syntax::Positive(inner)
            | Syntax::Descending(inner)
            | Syntax::TypeTest(_, inner, _) => self.depth(*inner),
            _ => 0,
        };
        self.nodes.push((syntax, at as u32));
        self.depths.push(depth);
        (self.nodes.len() - 1) as Ref
    }

    /// Joins two operands; a chain of the same operator on the left takes the right one in.
    pub fn join(&mut self, operator: Operator, left: Ref, right: Ref, at: usize) -> Ref {
        let chains = matches!(operator, Operator::And | Operator::Or | Operator::Union);
        if chains {
            let depth = self.depth(right) + 1;
            let end = self.nodes.len();
            if let Some((syntax, _)) = self.nodes.get_mut(left as usize)
                && let Syntax::Chain(own, operands) = syntax
                && *own == operator
                && end > 0
            {
                operands.push(right);
                if let Some(own) = self.depths.get_mut(left as usize) {
                    *own = depth.max(*own);
                }
                return left;
            }
            return self.add(Syntax::Chain(operator, vec![left, right]), at);
        }
        self.add(Syntax::Binary(operator, left, right), at)
    }
}
