//! What stops a transformation: which rule, at which place of the source, and why.

use std::fmt;

use fhir_models::document::Position;

/// A transformation that ended without a result. The source is as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    /// What happened.
    pub fault: RunFault,
    /// The map's file.
    pub file: String,
    /// Line and column in the map.
    pub position: Position,
    /// Group and rule.
    pub rule: String,
    /// The source element, as a FHIRPath expression, and its line and column.
    pub source: Option<(String, Position)>,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.position;
        write!(f, "{}:{line}:{column}: {} (rule {}", self.file, self.fault, self.rule)?;
        if let Some((path, position)) = &self.source {
            write!(f, ", at {path}, {position} of the source")?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for RunError {}

impl RunError {
    /// The same without any value of the source: fit for logs that may hold no person's data.
    pub fn without_values(&self) -> String {
        let Position { line, column } = self.position;
        let place = self.source.as_ref().map_or(String::new(), |(path, _)| format!(", at {path}"));
        format!("{}:{line}:{column}: {} (rule {}{place})", self.file, self.fault.without_values(), self.rule)
    }
}

/// Why a transformation ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunFault {
    /// The first group has other sources.
    #[error("the map takes {takes} sources, and {given} are given")]
    WrongSources {
        /// How many it takes.
        takes: usize,
        /// How many are given.
        given: usize,
    },
    /// The source is something else.
    #[error("the map is for {takes}, and the source is {given}; choose another map or another source")]
    WrongSource {
        /// The type that it is for.
        takes: String,
        /// What it was given.
        given: String,
    },
    /// More or fewer items than the rule allows.
    #[error("{element} is there {found} times, and the rule takes {allowed}")]
    Cardinality {
        /// The source element.
        element: String,
        /// How often it is there.
        found: usize,
        /// How often it may be.
        allowed: String,
    },
    /// `only_one`
    #[error("{element} is there {found} times, and the rule takes only one")]
    NotTheOnlyOne {
        /// The source element.
        element: String,
        /// How often it is there.
        found: usize,
    },
    /// `check`
    #[error("the check {expression} does not hold for {value}")]
    Check {
        /// The check.
        expression: String,
        /// The value.
        value: String,
    },
    /// An expression that could not be evaluated.
    #[error("the expression {expression} can't be evaluated: {cause}")]
    Expression {
        /// The expression.
        expression: String,
        /// Why.
        cause: String,
    },
    /// Two targets for one code.
    #[error("the concept map {map} has {count} targets for {value}; a translation needs exactly one")]
    Ambiguous {
        /// The concept map.
        map: String,
        /// How many.
        count: usize,
        /// The code.
        value: String,
    },
    /// A value that the target can't hold.
    #[error("{value} can't stand in {element}, which holds {holds}")]
    WrongValue {
        /// The value.
        value: String,
        /// The target element.
        element: String,
        /// What it holds.
        holds: String,
    },
    /// Several values for one place.
    #[error("{element} holds one value, and the rule gives {count}")]
    TooManyValues {
        /// The target element.
        element: String,
        /// How many.
        count: usize,
    },
    /// An element that the type doesn't have.
    #[error("{on} has no element {element}")]
    NoElement {
        /// The type.
        on: String,
        /// The element.
        element: String,
    },
    /// A target that nothing was made for.
    #[error("the rule writes to {0}, and nothing was made for it")]
    NoTarget(String),
    /// A type that no group maps.
    #[error("no group maps {from} to {to}")]
    NoDefault {
        /// The source's type.
        from: String,
        /// The target element.
        to: String,
    },
    /// A parameter that the transform can't use.
    #[error("{transform}() {needs}, not {value}")]
    WrongParameter {
        /// The transform.
        transform: &'static str,
        /// What it needs.
        needs: &'static str,
        /// What it got.
        value: String,
    },
    /// `reference()` to a resource without id.
    #[error("the resource has no id, so nothing can refer to it; give it one before")]
    NoId,
    /// A random number was needed and none was given.
    #[error("the map needs random identifiers, and the caller gives none")]
    NoRandomness,
    /// A bound of the settings.
    #[error("the transformation takes more than {0} {1}; the map may call itself without end")]
    Limit(u64, &'static str),
    /// The result can't be written.
    #[error("the result can't be written: {0}")]
    Write(&'static str),
}

impl RunFault {
    /// What happened, without any value of the source.
    pub fn without_values(&self) -> String {
        match self {
            RunFault::Check { expression, .. } => format!("the check {expression} does not hold"),
            RunFault::Expression { expression, .. } => {
                format!("the expression {expression} can't be evaluated")
            }
            RunFault::Ambiguous { map, count, .. } => {
                format!(
                    "the concept map {map} has {count} targets for a code; a translation needs exactly one"
                )
            }
            RunFault::WrongValue { element, holds, .. } => {
                format!("a value can't stand in {element}, which holds {holds}")
            }
            RunFault::WrongParameter { transform, needs, .. } => format!("{transform}() {needs}"),
            // These hold names and numbers of the map and of types alone.
            RunFault::WrongSources { .. }
            | RunFault::WrongSource { .. }
            | RunFault::Cardinality { .. }
            | RunFault::NotTheOnlyOne { .. }
            | RunFault::TooManyValues { .. }
            | RunFault::NoElement { .. }
            | RunFault::NoTarget(_)
            | RunFault::NoDefault { .. }
            | RunFault::NoId
            | RunFault::NoRandomness
            | RunFault::Limit(..)
            | RunFault::Write(_) => self.to_string(),
        }
    }
}
