//! The compiled expression: an arena of operations, immutable and shared by threads.

use std::sync::Arc;

use fhir_models::document::Name;
use regex::Regex;

use super::decimal::Decimal;
use super::function::Function;
use super::item::{Item, Text};
use super::model::{Element, TypeId};
use super::quantity::Quantity;
use super::syntax::{Operator, Ref};
use super::system::SystemType;
use super::temporal::Temporal;

/// Some entries of one of the program's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct List {
    pub start: u32,
    pub len: u16,
}

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// `$this`
    This,
    /// `$this`, where it is of this type: `Patient` in `Patient.name`.
    Typed(TypeId),
    /// `%resource`
    Resource,
    /// Another operation's result.
    Of(Ref),
}

/// A variable of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variable {
    Context,
    Resource,
    RootResource,
    /// A text known when the expression was compiled, by its number: `%ucum`, `%vs-…`.
    Text(u32),
    /// One that is defined in the expression or passed in, by the number of its name.
    Named(u32),
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Op {
    Empty,
    Literal(u32),
    This,
    Index,
    Total,
    Variable(Variable),
    /// Members of members.
    Path(Source, List),
    Indexer(Ref, Ref),
    Negate(Ref),
    Positive(Ref),
    Binary(Operator, Ref, Ref),
    Chain(Operator, List),
    Is(Option<Ref>, u32),
    /// The items of a type; `single` where several items are an error.
    As {
        input: Option<Ref>,
        spec: u32,
        operation: &'static str,
        single: bool,
    },
    Call(Function, Option<Ref>, List),
    /// A sort key from high to low.
    Descending(Ref),
    /// `path = 'text'` (or `!=` where negated), compared in place.
    TextEquals {
        path: Ref,
        text: u32,
        negated: bool,
    },
    /// `hasValue() or (children().count() > id.count())`: `ele-1`.
    HasContent,
}

/// One name of a path.
#[derive(Debug)]
pub(super) struct Step {
    pub name: Name,
    pub text: Box<str>,
    /// The type for which `element` holds, as far as it was known.
    pub on: TypeId,
    pub element: Option<Element>,
    /// Names of instances are taken too: see [`Options::instance_names`](super::Options::instance_names).
    pub instance: bool,
    /// The properties it stands for in an object of unknown type: see
    /// [`Options::own_names`](super::Options::own_names).
    pub own: Box<[(Box<str>, TypeId)]>,
}

/// A type as an expression names it.
#[derive(Debug, Clone)]
pub(super) struct TypeSpec {
    pub fhir: Option<TypeId>,
    pub system: Option<SystemType>,
    /// A FHIR primitive that converts to the system type counts as it.
    pub converting: bool,
}

/// A literal value.
#[derive(Debug)]
pub(super) enum Literal {
    Boolean(bool),
    Integer(i32),
    Long(i64),
    Decimal(Decimal),
    Text(Box<str>),
    Temporal(Temporal),
    Quantity(Arc<Quantity>),
}

impl Literal {
    pub fn item(&self) -> Item<'_> {
        match self {
            Literal::Boolean(value) => Item::Boolean(*value),
            Literal::Integer(value) => Item::Integer(*value),
            Literal::Long(value) => Item::Long(*value),
            Literal::Decimal(value) => Item::Decimal(*value),
            Literal::Text(text) => Item::Text(Text::Borrowed(text)),
            Literal::Temporal(value) => Item::Temporal(*value),
            Literal::Quantity(value) => Item::Quantity(Arc::clone(value)),
        }
    }
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Program {
    /// The type of resource that it is for; unknown where it is for an element or for anything.
    pub expected: TypeId,
    pub ops: Vec<(Op, u32)>,
    pub root: Ref,
    pub lists: Vec<Ref>,
    pub steps: Vec<Step>,
    pub literals: Vec<Literal>,
    pub names: Vec<Box<str>>,
    pub specs: Vec<TypeSpec>,
    /// Which operations are quick, by number.
    pub quick: Vec<bool>,
    /// Regular expressions of literal arguments, by the operation that calls for them.
    pub regexes: Vec<(Ref, Regex)>,
    /// The types that the result may have; `None` where nothing is known.
    pub types: Option<Box<[TypeId]>>,
}

impl Program {
    pub fn new(expected: TypeId) -> Program {
        Program {
            expected,
            ops: Vec::new(),
            root: 0,
            lists: Vec::new(),
            steps: Vec::new(),
            literals: Vec::new(),
            names: Vec::new(),
            specs: Vec::new(),
            quick: Vec::new(),
            regexes: Vec::new(),
            types: None,
        }
    }

    #[inline]
    pub fn op(&self, node: Ref) -> Op {
        self.ops.get(node as usize).map_or(Op::Empty, |(op, _)| *op)
    }

    pub fn at(&self, node: Ref) -> usize {
        self.ops.get(node as usize).map_or(0, |(_, at)| *at as usize)
    }

    #[inline]
    pub fn list(&self, list: List) -> &[Ref] {
        let start = list.start as usize;
        self.lists.get(start..start + usize::from(list.len)).unwrap_or_default()
    }

    #[inline]
    pub fn steps(&self, list: List) -> &[Step] {
        let start = list.start as usize;
        self.steps.get(start..start + usize::from(list.len)).unwrap_or_default()
    }

    pub fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |name| name)
    }

    pub fn text(&self, number: u32) -> &str {
        match self.literals.get(number as usize) {
            Some(Literal::Text(text)) => text,
            _ => "",
        }
    }

    pub fn regex(&self, node: Ref) -> Option<&Regex> {
        self.regexes.iter().find(|(own, _)| *own == node).map(|(_, regex)| regex)
    }
}
