//! What an evaluation is given beside the document: the time, variables, and those who can answer what the
//! document can't.

use std::borrow::Cow;
use std::fmt;

use fhir_models::document::{Document, Value};

use super::model::TypeId;
use super::temporal::Temporal;

/// The bounds of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most steps: operations evaluated and items visited.
    pub steps: u64,
    /// Deepest nesting of operations.
    pub depth: u16,
    /// Most items in hand at one time, and longest text in bytes (32 bytes an item).
    pub items: usize,
}

impl Default for Limits {
    /// Ten million steps, 200 levels, one million items.
    fn default() -> Limits {
        Limits { steps: 10_000_000, depth: 200, items: 1_000_000 }
    }
}

/// An answer to a question that may be beyond whoever is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is so.
    Yes,
    /// It is not so.
    No,
    /// Nothing at hand can tell: the expression gives nothing.
    Unknown,
}

/// A code with what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code<'c> {
    /// The code system's canonical URL; a bare `code` has none.
    pub system: Option<Cow<'c, str>>,
    /// The code system's version.
    pub version: Option<Cow<'c, str>>,
    /// The code.
    pub code: Cow<'c, str>,
}

/// Answers questions about codes, for `memberOf()`, `subsumes()` and `subsumedBy()`.
pub trait Terminology {
    /// Whether a value set, by canonical, holds a code.
    fn member_of(&self, code: &Code<'_>, value_set: &str) -> Answer;
    /// Whether the first code is the second or above it.
    fn subsumes(&self, code: &Code<'_>, other: &Code<'_>) -> Answer;
}

/// Answers questions about profiles, for `conformsTo()`.
pub trait Profiles {
    /// Whether an element or resource obeys a profile, by canonical.
    fn conforms_to(&self, value: Value<'_>, profile: &str) -> Answer;
}

/// Finds what references point at outside of the document, for `resolve()`.
pub trait Resolver {
    /// The resource behind an absolute or relative reference.
    fn resolve<'r>(&'r self, reference: &str) -> Option<Document<'r>>;
}

/// Is told what `trace()` sees. The values may be a person's data: they belong in no log.
pub trait Trace {
    /// The items that pass, as text.
    fn trace(&self, name: &str, items: &[String]);
}

/// A value to start from: a resource, or an element with its type.
#[derive(Debug, Clone, Copy)]
pub struct Focus<'a> {
    pub(super) value: Value<'a>,
    pub(super) twin: Option<Value<'a>>,
    pub(super) ty: Option<TypeId>,
}

impl<'a> Focus<'a> {
    /// A resource: its `resourceType` says its type.
    pub fn resource(resource: Value<'a>) -> Focus<'a> {
        Focus { value: resource, twin: None, ty: None }
    }

    /// An element of this type ([`Model::type_of`](super::Model::type_of)).
    pub fn element(value: Value<'a>, ty: TypeId) -> Focus<'a> {
        Focus { value, twin: None, ty: Some(ty) }
    }

    /// A primitive with the `_name` twin that holds its extensions. Where it has no value, both are the
    /// twin.
    pub fn with_twin(self, twin: Value<'a>) -> Focus<'a> {
        Focus { twin: Some(twin), ..self }
    }
}

impl<'a> From<Value<'a>> for Focus<'a> {
    fn from(resource: Value<'a>) -> Focus<'a> {
        Focus::resource(resource)
    }
}

impl<'a> From<Document<'a>> for Focus<'a> {
    fn from(document: Document<'a>) -> Focus<'a> {
        Focus::resource(document.root())
    }
}

/// What a variable that is passed in holds.
#[derive(Debug, Clone)]
pub enum Argument<'a> {
    /// A boolean.
    Boolean(bool),
    /// A whole number.
    Integer(i32),
    /// A decimal.
    Decimal(super::decimal::Decimal),
    /// A text.
    Text(&'a str),
    /// A date, time or both.
    Temporal(Temporal),
    /// A resource or element.
    Value(Focus<'a>),
}

/// Everything an evaluation is given. By default nothing: `now()` and questions beyond the document are
/// then errors.
#[derive(Clone, Copy, Default)]
pub struct Context<'a> {
    /// What `now()`, `today()` and `timeOfDay()` answer: a DateTime with time zone.
    pub now: Option<Temporal>,
    /// `%resource`; by default the resource around the focus.
    pub resource: Option<Focus<'a>>,
    /// `%rootResource`; by default the document's outermost resource.
    pub root_resource: Option<Focus<'a>>,
    /// Further variables, without `%`.
    pub variables: &'a [(&'a str, Vec<Argument<'a>>)],
    /// Finds what `resolve()` can't find in the document.
    pub resolver: Option<&'a dyn Resolver>,
    /// Answers questions about codes.
    pub terminology: Option<&'a dyn Terminology>,
    /// Answers questions about profiles.
    pub profiles: Option<&'a dyn Profiles>,
    /// Is told what `trace()` sees.
    pub trace: Option<&'a dyn Trace>,
    /// Bounds; `None` for the defaults.
    pub limits: Option<Limits>,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("now", &self.now)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
