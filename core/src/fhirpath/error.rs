//! What is wrong with an expression, and what stops an evaluation.

use std::fmt;

use fhir_models::document::{Position, SyntaxError};

/// Why an expression can't be compiled, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// What is wrong.
    pub fault: CompileFault,
    /// Line and column in the expression, both from 1.
    pub position: Position,
    /// The same in bytes from the start.
    pub offset: usize,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.fault, self.position)
    }
}

impl std::error::Error for CompileError {}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileFault {
    /// The text is longer than the engine reads.
    #[error("the expression is longer than {0} bytes")]
    TooLong(usize),
    /// Too much nesting.
    #[error("the expression is nested too deeply; split it with defineVariable() or simplify it")]
    TooDeep,
    /// Too many parts.
    #[error("the expression has too many parts")]
    TooManyParts,
    /// A character that begins nothing.
    #[error("the character {0:?} begins no part of an expression")]
    UnexpectedCharacter(char),
    /// A word or sign where another belongs.
    #[error("{expected} is expected here, not {found}")]
    Unexpected {
        /// What would be right.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A string, quoted name or comment without end.
    #[error("the {0} has no end; close it with {1}")]
    Unclosed(&'static str, &'static str),
    /// A `\u` escape that names no character.
    #[error("the escape \\u names half a character; write both halves of the surrogate pair")]
    LoneSurrogate,
    /// A number beyond the range of its type.
    #[error(
        "the number does not fit its type: an Integer has 32 bits (add L for a Long of 64), a Decimal 38 digits"
    )]
    NumberRange,
    /// A date or time that the calendar or the grammar does not have.
    #[error("this is no date or time; write @2026-03-29, @2026-03-29T14:30:00+01:00 or @T14:30")]
    BadTemporal,
    /// A function that FHIRPath does not have.
    #[error("there is no function {0}(); check the spelling")]
    UnknownFunction(String),
    /// The wrong number of arguments.
    #[error("{function}() takes {takes}, not {given}")]
    WrongArgumentCount {
        /// The function's name.
        function: &'static str,
        /// How many it takes, in words.
        takes: String,
        /// How many are given.
        given: usize,
    },
    /// Not the name of a type.
    #[error("{0} is not a type of the definitions or of FHIRPath")]
    UnknownType(String),
    /// A name where no type can stand.
    #[error("the name of a type is expected here, such as Patient or FHIR.Patient")]
    TypeExpected,
    /// An element that the type does not have.
    #[error("{on} has no element {element}; {hint}")]
    UnknownElement {
        /// The name.
        element: String,
        /// The types looked at.
        on: String,
        /// What may have been meant.
        hint: String,
    },
    /// A path for another type.
    #[error("a path that begins with {path} can't hold for {on}")]
    WrongContext {
        /// The type at the start of the path.
        path: String,
        /// The type that the expression is for.
        on: String,
    },
    /// A variable that nobody defines.
    #[error("there is no variable %{0}; define it with defineVariable() or pass it in")]
    UnknownVariable(String),
    /// `$total` outside of `aggregate()`.
    #[error("$total exists only within aggregate()")]
    TotalOutsideAggregate,
    /// An operand or input of a type that the operation has no use for.
    #[error("{operation} works on {expected}, not on {found}")]
    WrongType {
        /// The function or operator.
        operation: &'static str,
        /// What it works on.
        expected: &'static str,
        /// The types found.
        found: String,
    },
    /// A position where there is no order.
    #[error(
        "{0} picks by position, but children() and descendants() have no order; name the elements instead"
    )]
    NoOrder(&'static str),
    /// A regular expression that can't be compiled.
    #[error("the regular expression can't be used: {0}")]
    BadRegex(String),
}

/// Why an evaluation ended without a result, and where in the expression. One word, since a result that
/// nearly always is none should be cheap to hand up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationError(pub(super) Box<LocatedFault>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocatedFault {
    pub fault: EvaluationFault,
    pub position: Position,
    pub offset: usize,
}

impl EvaluationError {
    /// What happened.
    pub fn fault(&self) -> &EvaluationFault {
        &self.0.fault
    }

    /// Line and column in the expression, both from 1.
    pub fn position(&self) -> Position {
        self.0.position
    }

    /// The same in bytes from the start.
    pub fn offset(&self) -> usize {
        self.0.offset
    }
}

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} of the expression)", self.0.fault, self.0.position)
    }
}

impl std::error::Error for EvaluationError {}

/// What stops an evaluation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationFault {
    /// Several items where one is needed.
    #[error("{0} needs one item, but there are {1}")]
    NotSingle(&'static str, usize),
    /// An item of a type that the operation has no use for.
    #[error("{operation} works on {expected}, not on {found}")]
    WrongType {
        /// The function or operator.
        operation: &'static str,
        /// What it works on.
        expected: &'static str,
        /// The type found.
        found: String,
    },
    /// Two items that an operator can't bring together.
    #[error("{operation} can't bring {left} and {right} together")]
    Mismatch {
        /// The operator.
        operation: &'static str,
        /// The left type.
        left: String,
        /// The right type.
        right: String,
    },
    /// A unit that is no duration, or none of the value's type.
    #[error("a {0} can't be moved by this unit; use a calendar duration such as 2 days or 1 month")]
    BadDurationUnit(String),
    /// A date beyond the calendar.
    #[error("the date would leave the years 1 to 9999")]
    DateRange,
    /// An argument that is out of its range.
    #[error("{0}: {1}")]
    BadArgument(&'static str, &'static str),
    /// A variable that is not defined where it is read.
    #[error("there is no variable %{0} here")]
    UnknownVariable(String),
    /// A variable defined twice.
    #[error("the variable %{0} is defined already; choose another name")]
    VariableRedefined(String),
    /// A regular expression that can't be compiled.
    #[error("the regular expression can't be used: {0}")]
    BadRegex(String),
    /// A question that nothing at hand can answer.
    #[error("{0} can't be answered here: {1}")]
    Unanswerable(&'static str, String),
    /// More steps than allowed.
    #[error("the evaluation takes more steps than allowed")]
    TooManySteps,
    /// More nesting than allowed.
    #[error("the evaluation is nested too deeply")]
    TooDeep,
    /// A larger result than allowed.
    #[error("the result is larger than allowed")]
    TooLarge,
}

/// Why an expression gave nothing on a text.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The text is not a document.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// The evaluation ended without a result.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
}
