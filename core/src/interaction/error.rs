//! Why a request is not one that the gateway speaks, and what the caller is told.
//!
//! Messages name parameters and types only where they are shaped like FHIR's own names; values and ids are
//! never quoted, since they may be a person's data.

use std::fmt;

use crate::outcome::{Issue, IssueType, Outcome};

/// A name that the caller wrote, shown only where it is shaped like one of FHIR's: letters, hyphens and
/// underscores, at most 40 of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownName(Option<Box<str>>);

impl ShownName {
    /// Keeps the name if it may be shown.
    pub fn of(name: &str) -> ShownName {
        let plain = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_');
        let fit = !name.is_empty() && name.len() <= 40 && name.bytes().all(plain);
        ShownName(fit.then(|| name.into()))
    }
}

impl fmt::Display for ShownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "`{name}`"),
            None => f.write_str("(not shown: it is not shaped like a FHIR name)"),
        }
    }
}

/// What is wrong with the encoding of a URL or form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodingFault {
    /// `%` without two hexadecimal digits.
    #[error("a percent sign is not followed by two hexadecimal digits")]
    BadEscape,
    /// An escaped `/` or `\` in a path segment.
    #[error("a path segment holds an escaped slash or backslash")]
    EncodedSlash,
    /// A control character, escaped or not.
    #[error("it holds a control character")]
    ControlCharacter,
    /// The decoded bytes are not UTF-8.
    #[error("the decoded text is not UTF-8")]
    NotUtf8,
    /// A space or a character beyond ASCII, not escaped.
    #[error("a space or a character outside ASCII is not percent-encoded")]
    RawCharacter,
    /// `.`, `..` or nothing between two slashes.
    #[error("the path holds an empty segment, `.` or `..`")]
    DotSegment,
}

/// A request that is refused before anything is decided about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InteractionError {
    /// URL or form can't be read in exactly one way.
    #[error("the URL or form can't be read: {0}; encode each part once, as RFC 3986 says")]
    Encoding(#[from] EncodingFault),
    /// More than the gateway reads: size, parameters or values.
    #[error("the request has more {what} than the {limit} that are read; split it")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// The most that is read.
        limit: usize,
    },
    /// No interaction of FHIR R4 has this path.
    #[error("FHIR R4 defines no interaction on this path; see the capability statement at `metadata`")]
    UnknownInteraction,
    /// No resource type of this name.
    #[error("there is no resource type {0} in FHIR R4; type names begin with a capital, as in `Patient`")]
    UnknownType(ShownName),
    /// An operation (`$name`).
    #[error("this operation is not served; see the capability statement at `metadata`")]
    Operation,
    /// An operation that is known and not served, here or at all.
    #[error("the operation `{0}` is not served on this path; see the capability statement at `metadata`")]
    OperationNotServed(&'static str),
    /// An interaction of FHIR R4 that the gateway does not serve.
    #[error("{interaction} is not served here; this path allows: {}", list(.allow))]
    NotServed {
        /// The interaction, in the words of FHIR R4 §3.1.0, or the HTTP method where FHIR has none.
        interaction: &'static str,
        /// The methods that the path does allow, for the `Allow` header (RFC 9110 §10.2.1).
        allow: &'static [&'static str],
    },
    /// A logical id or version id outside its grammar.
    #[error("an id has 1 to 64 of the characters A-Z, a-z, 0-9, hyphen and dot")]
    BadId,
    /// A parameter that the type does not have.
    #[error("{interaction} has no parameter {name}; see the capability statement at `metadata`")]
    UnknownParameter {
        /// The interaction's code.
        interaction: &'static str,
        /// The parameter.
        name: ShownName,
    },
    /// A parameter of FHIR R4 that the gateway does not serve.
    #[error("the parameter {0} is not served yet; ask without it")]
    ParameterNotServed(ShownName),
    /// A `_has` outside its grammar.
    #[error("a reverse chain is written `_has:[type]:[reference parameter]:[parameter]`")]
    Has,
    /// A chain or include along a parameter that is no reference.
    #[error("the parameter {0} is not a reference, so nothing stands behind it")]
    NotAReference(ShownName),
    /// A chain along a reference that may lead to several types.
    #[error("the reference {0} may lead to several types; name one, as in `subject:Patient.name`")]
    Untyped(ShownName),
    /// A chain or include to a type that the reference does not lead to.
    #[error("the reference {0} does not lead to this type")]
    Target(ShownName),
    /// Two parameters that exclude each other.
    #[error("`{0}` and `{1}` exclude each other; send one of them")]
    Together(&'static str, &'static str),
    /// An operation without a parameter that it can't do without.
    #[error("{0} needs {1}")]
    Needs(&'static str, &'static str),
    /// A conditional request without criteria, or with parameters that are no criteria.
    #[error("a conditional request needs at least one search criterion, and nothing but criteria")]
    Condition,
    /// A batch or transaction that can't be taken apart.
    #[error("the Bundle can't be processed: {0}")]
    Bundle(&'static str),
    /// A modifier that FHIR R4 does not define for this kind of parameter, or that is not served.
    #[error("the parameter {name} can't have this modifier; it may have: {}", list(.allowed))]
    Modifier {
        /// The parameter.
        name: ShownName,
        /// The modifiers it may have.
        allowed: &'static [&'static str],
    },
    /// A value outside the parameter's grammar.
    #[error("the value of {name} must be {expected}")]
    BadValue {
        /// The parameter.
        name: ShownName,
        /// What is expected, in words.
        expected: &'static str,
    },
    /// A parameter that may stand once stands twice, in URL and form together.
    #[error("the parameter {0} may stand only once, in the URL and the form together")]
    Repeated(ShownName),
    /// A form body for anything but `POST [type]/_search`.
    #[error("only a search by POST to `_search` takes a form; send resources as application/fhir+json")]
    UnexpectedForm,
    /// The caller wants something other than JSON.
    #[error("answers are application/fhir+json for FHIR 4.0 alone; allow it in `Accept` or `_format`")]
    NotAcceptable,
    /// The body is not in a form that is read.
    #[error("the body must be {0}, in UTF-8")]
    UnsupportedMediaType(&'static str),
    /// The body is compressed or otherwise encoded.
    #[error("bodies must be sent without `Content-Encoding`")]
    ContentEncoding,
    /// A header that may stand once stands twice.
    #[error("the header `{0}` may stand only once")]
    RepeatedHeader(&'static str),
    /// A header outside its grammar.
    #[error("the header `{name}` must be {expected}")]
    BadHeader {
        /// The header.
        name: &'static str,
        /// What is expected, in words.
        expected: &'static str,
    },
    /// A precondition that is not served; ignoring one on a write would be wrong.
    #[error("the precondition `{0}` is not served on this request; send it without")]
    Precondition(&'static str),
}

fn list(words: &[&str]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

impl InteractionError {
    /// The HTTP status of the refusal.
    pub fn status(&self) -> u16 {
        match self {
            InteractionError::UnknownInteraction
            | InteractionError::UnknownType(_)
            | InteractionError::Operation
            | InteractionError::OperationNotServed(_) => 404,
            InteractionError::NotServed { .. } => 405,
            InteractionError::NotAcceptable => 406,
            InteractionError::UnsupportedMediaType(_)
            | InteractionError::ContentEncoding
            | InteractionError::UnexpectedForm => 415,
            _ => 400,
        }
    }

    /// What kind of issue the refusal is in an OperationOutcome.
    pub fn issue_type(&self) -> IssueType {
        match self {
            InteractionError::TooMuch { .. } => IssueType::TooCostly,
            InteractionError::UnknownInteraction | InteractionError::UnknownType(_) => IssueType::NotFound,
            InteractionError::Encoding(_)
            | InteractionError::Repeated(_)
            | InteractionError::RepeatedHeader(_) => IssueType::Invalid,
            InteractionError::BadId
            | InteractionError::BadValue { .. }
            | InteractionError::BadHeader { .. } => IssueType::Value,
            InteractionError::Has
            | InteractionError::NotAReference(_)
            | InteractionError::Untyped(_)
            | InteractionError::Target(_)
            | InteractionError::Together(..)
            | InteractionError::Condition
            | InteractionError::Needs(..)
            | InteractionError::Bundle(_) => IssueType::Invalid,
            _ => IssueType::NotSupported,
        }
    }

    /// The OperationOutcome that the caller gets.
    pub fn outcome(&self) -> Outcome {
        Outcome::of(Issue::error(self.issue_type(), self.to_string()))
    }

    /// The methods for the `Allow` header; `None` where the status asks for none.
    pub fn allow(&self) -> Option<&'static [&'static str]> {
        match self {
            InteractionError::NotServed { allow, .. } => Some(allow),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_may_be_a_persons_data_are_not_shown() {
        let shown = |name| ShownName::of(name).to_string();
        assert_eq!(shown("birthdate"), "`birthdate`");
        assert!(shown("RSSMRA71E01F205E").starts_with("(not shown"));
        assert!(shown("mario.rossi@example.org").starts_with("(not shown"));
    }

    #[test]
    fn a_refused_method_says_what_is_allowed() {
        let error = InteractionError::NotServed { interaction: "patch", allow: &["GET", "PUT"] };
        assert_eq!(error.status(), 405);
        assert_eq!(error.allow(), Some(&["GET", "PUT"][..]));
        assert_eq!(error.to_string(), "patch is not served here; this path allows: GET, PUT");
    }
}
