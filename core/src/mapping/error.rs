//! What is wrong with a map, and what stops a transformation: cause, cure and place.

use std::fmt;

use fhir_models::document::Position;

/// A map that can't be used: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapError {
    /// The map's file, as the caller named it.
    pub file: String,
    /// Line and column, both from 1.
    pub position: Position,
    /// What is wrong.
    pub fault: MapFault,
}

impl MapError {
    pub(super) fn at(file: &str, bytes: &[u8], (fault, offset): (MapFault, usize)) -> MapError {
        MapError { file: file.to_owned(), position: Position::of(bytes, offset), fault }
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.position.line, self.position.column, self.fault)
    }
}

impl std::error::Error for MapError {}

/// What is wrong with a map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapFault {
    /// Longer than what is read.
    #[error("the map is longer than {0} bytes; split it and import its parts")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("the map is not UTF-8; save it as UTF-8")]
    NotUtf8,
    /// Rules or expressions nested too deeply.
    #[error("rules or expressions are nested more than {0} levels deep; move the inner ones to a group")]
    TooDeep(usize),
    /// Too many rules, or too many combinations of groups and types.
    #[error("the map has more than {0} {1}; split it")]
    TooMany(usize, &'static str),
    /// A character that begins nothing.
    #[error("the character {0:?} begins nothing here")]
    UnexpectedCharacter(char),
    /// A text or comment without end.
    #[error("the {0} has no end; close it with {1}")]
    Unclosed(&'static str, &'static str),
    /// A word or sign where another belongs.
    #[error("{expected} is expected here, not {found}")]
    Unexpected {
        /// What would be right.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// JSON or XML that is not a document.
    #[error("this is neither a map nor a StructureMap resource: {0}")]
    NotAResource(String),
    /// A `StructureMap` that lacks something, or has it in another form.
    #[error("the StructureMap has no usable {0}; {1}")]
    BadResource(&'static str, &'static str),
    /// A transform that the language doesn't have.
    #[error(
        "there is no transform {0}(); the language has create, copy, truncate, escape, cast, append, translate, \
         reference, uuid, pointer, evaluate, cc, c, qty, id and cp"
    )]
    UnknownTransform(String),
    /// `dateOp`
    #[error(
        "no edition of FHIR defines what dateOp() does; write the calculation in FHIRPath, as in (%date + 5 days)"
    )]
    DateOp,
    /// Two things of one name.
    #[error("there is already a {0} {1:?} here; rename one of them")]
    Duplicate(&'static str, String),
    /// A name that stands for nothing.
    #[error("there is no {what} {name:?} here; {hint}")]
    Unknown {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// What to do.
        hint: String,
    },
    /// An element that a type doesn't have.
    #[error("{on} has no element {element:?}{hint}")]
    NoElement {
        /// The type.
        on: String,
        /// The name.
        element: String,
        /// What may have been meant, with a leading separator; or nothing.
        hint: String,
    },
    /// A type filter or parameter type that nothing can have.
    #[error("this can never be {wanted}: it is {found}")]
    NeverType {
        /// The type asked for.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// More items demanded than there can be, or the like.
    #[error("the cardinality {0} can't be met: {1}")]
    NeverCount(String, String),
    /// An import that nothing answers.
    #[error("no map with the URL {0:?} is at hand; give its file with a further --map")]
    NoImport(String),
    /// Several groups that could be meant.
    #[error(
        "both {0} and {1} would serve for {2}; call one of them by name, or take one's default mark away"
    )]
    Ambiguous(String, String, String),
    /// A default mapping that is not there.
    #[error("no group maps {source_type} to {target_type}; write one marked <<types>>, or map its parts")]
    NoDefault {
        /// From.
        source_type: String,
        /// To.
        target_type: String,
    },
    /// A group called with too many or too few values.
    #[error("{name} takes {takes}, not {given}")]
    WrongCount {
        /// The group or transform.
        name: String,
        /// How many it takes, in words.
        takes: String,
        /// How many are given.
        given: usize,
    },
    /// A parameter that the transform has no use for.
    #[error("{transform}() needs {needs} here")]
    WrongParameter {
        /// The transform.
        transform: &'static str,
        /// What is needed.
        needs: &'static str,
    },
    /// A value that the element can't hold.
    #[error("{element} holds {holds}, not {given}")]
    WrongType {
        /// The target element.
        element: String,
        /// Its types.
        holds: String,
        /// The type of the value.
        given: String,
    },
    /// A target whose type is open.
    #[error("{element} may hold {holds}; say which with create('…')")]
    OpenTarget {
        /// The target element.
        element: String,
        /// Its types.
        holds: String,
    },
    /// An expression that can't be compiled.
    #[error("the expression can't be used: {0}")]
    Expression(String),
    /// A concept map that can't be used.
    #[error("the concept map {0:?} can't be used: {1}")]
    ConceptMap(String, String),
    /// Something that a map may say and this engine refuses.
    #[error("{0}")]
    Unsupported(&'static str),
}
