//! What went wrong, told in FHIR: issues and the `OperationOutcome` that carries them (FHIR R4 §6.6).
//!
//! Every finding of a validation and every refusal of the sidecar leaves Varco in this one form. Invariant:
//! a message states cause and cure and never quotes a person's data; the place is given as an element and a
//! position in the source instead.

use fhir_models::document::{JsonWriter, Position};

/// How bad an issue is (`http://hl7.org/fhir/issue-severity`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IssueSeverity {
    /// Nothing could be done.
    Fatal,
    /// The content or the request is wrong.
    Error,
    /// Worth a look; not wrong.
    Warning,
    /// For information.
    Information,
}

impl IssueSeverity {
    /// The code on the wire.
    pub fn code(self) -> &'static str {
        match self {
            IssueSeverity::Fatal => "fatal",
            IssueSeverity::Error => "error",
            IssueSeverity::Warning => "warning",
            IssueSeverity::Information => "information",
        }
    }

    /// True for fatal issues and errors.
    pub fn is_error(self) -> bool {
        self <= IssueSeverity::Error
    }
}

macro_rules! issue_types {
    ($($variant:ident = $code:literal: $meaning:literal),* $(,)?) => {
        /// What kind of issue it is (`http://hl7.org/fhir/issue-type`, required binding).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum IssueType {
            $(#[doc = $meaning] $variant),*
        }

        impl IssueType {
            /// All of them.
            pub const ALL: &'static [IssueType] = &[$(IssueType::$variant),*];

            /// The code on the wire.
            pub fn code(self) -> &'static str {
                match self {
                    $(IssueType::$variant => $code),*
                }
            }
        }
    };
}

issue_types! {
    Invalid = "invalid": "Content invalid against the specification or a profile.",
    Structure = "structure": "A structural fault in the content, such as an unknown element.",
    Required = "required": "A required element is missing.",
    Value = "value": "An element's value is invalid.",
    Invariant = "invariant": "A content rule failed.",
    Security = "security": "An authentication or authorisation fault.",
    Login = "login": "The caller must sign in.",
    Unknown = "unknown": "The caller could not be identified.",
    Expired = "expired": "The caller's session has expired.",
    Forbidden = "forbidden": "The caller may not do this.",
    Suppressed = "suppressed": "Some information was not returned, or may not be.",
    Processing = "processing": "A fault while processing.",
    NotSupported = "not-supported": "The interaction, operation, resource or profile is not supported.",
    Duplicate = "duplicate": "An attempt to create a record that exists already.",
    MultipleMatches = "multiple-matches": "Several records match where one must.",
    NotFound = "not-found": "The reference found nothing.",
    Deleted = "deleted": "The record has been deleted.",
    TooLong = "too-long": "The content is larger than is accepted.",
    CodeInvalid = "code-invalid": "A code is not in the value set that it must come from.",
    Extension = "extension": "An extension that is not acceptable or not resolvable.",
    TooCostly = "too-costly": "The operation was stopped to protect the server.",
    BusinessRule = "business-rule": "The content fits no business rule of the server.",
    Conflict = "conflict": "An edit version conflict.",
    Transient = "transient": "A passing fault; try again.",
    LockError = "lock-error": "A resource or record locking fault.",
    NoStore = "no-store": "The persistent store is not available.",
    Exception = "exception": "An internal fault.",
    Timeout = "timeout": "An internal time limit was reached.",
    Incomplete = "incomplete": "Not all data sources answered: the result is partial.",
    Throttled = "throttled": "The caller sends too much; slow down.",
    Informational = "informational": "A message unrelated to any fault.",
}

/// One finding or refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is.
    pub severity: IssueSeverity,
    /// What kind it is.
    pub code: IssueType,
    /// Cause and cure in words, without a person's data. Goes to `details.text`.
    pub message: String,
    /// The element it is about, as a FHIRPath expression such as `Patient.name[0].given[1]`.
    pub expression: Option<String>,
    /// The element in the source where it is no element of FHIR's, as an XPath such as `/f:Patient/f:name[2]`
    /// (FHIR R4 §6.6.1, `issue.location`).
    pub location: Option<String>,
    /// The input it is about where there are several: a file, or a line of one. Goes to `diagnostics`.
    pub source: Option<String>,
    /// Line and column in the source. Goes to `diagnostics`.
    pub position: Option<Position>,
    /// The rule that spoke, such as `cardinality`; for counting, not written.
    pub rule: Option<&'static str>,
}

impl Issue {
    /// An issue without a place.
    pub fn new(severity: IssueSeverity, code: IssueType, message: impl Into<String>) -> Issue {
        Issue {
            severity,
            code,
            message: message.into(),
            expression: None,
            location: None,
            source: None,
            position: None,
            rule: None,
        }
    }

    /// An error without a place.
    pub fn error(code: IssueType, message: impl Into<String>) -> Issue {
        Issue::new(IssueSeverity::Error, code, message)
    }

    /// The same issue about this element.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Issue {
        self.expression = Some(expression.into());
        self
    }

    /// The same issue at this place in the source text.
    #[must_use]
    pub fn on(mut self, position: Position) -> Issue {
        self.position = Some(position);
        self
    }

    fn diagnostics(&self) -> Option<String> {
        match (&self.source, self.position) {
            (Some(source), Some(position)) => Some(format!("{source}: {position}")),
            (Some(source), None) => Some(source.clone()),
            (None, position) => position.map(|position| position.to_string()),
        }
    }

    fn write(&self, json: &mut JsonWriter) {
        json.begin_object().member("severity", self.severity.code()).member("code", self.code.code());
        json.key("details").begin_object().member("text", &self.message).end_object();
        json.optional("diagnostics", self.diagnostics().as_deref());
        if let Some(location) = &self.location {
            json.key("location").begin_array().string(location).end_array();
        }
        if let Some(expression) = &self.expression {
            json.key("expression").begin_array().string(expression).end_array();
        }
        json.end_object();
    }
}

/// The result of an operation, as issues.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The issues, in the order in which they are written.
    pub issues: Vec<Issue>,
}

impl Outcome {
    /// An outcome of a single issue.
    pub fn of(issue: Issue) -> Outcome {
        Outcome { issues: vec![issue] }
    }

    /// True where an issue is fatal or an error.
    pub fn has_errors(&self) -> bool {
        self.issues.iter().any(|issue| issue.severity.is_error())
    }

    /// Writes the R4 resource. An outcome needs one issue at least: without any, it says that all is well.
    pub fn write(&self, json: &mut JsonWriter) {
        json.begin_object().member("resourceType", "OperationOutcome").key("issue").begin_array();
        if self.issues.is_empty() {
            let fine = "No issue was found.";
            Issue::new(IssueSeverity::Information, IssueType::Informational, fine).write(json);
        }
        for issue in &self.issues {
            issue.write(json);
        }
        json.end_array().end_object();
    }

    /// The R4 resource as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = JsonWriter::new();
        self.write(&mut json);
        json.into_bytes()
    }
}

impl From<Issue> for Outcome {
    fn from(issue: Issue) -> Outcome {
        Outcome::of(issue)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(outcome: &Outcome) -> String {
        String::from_utf8(outcome.to_json()).unwrap()
    }

    #[test]
    fn an_issue_names_element_and_position() {
        let mut issue = Issue::error(IssueType::Value, "the calendar has no such day")
            .at("Patient.birthDate")
            .on(Position { line: 3, column: 9 });
        assert_eq!(
            text(&issue.clone().into()),
            r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"value","details":{"text":"the calendar has no such day"},"diagnostics":"line 3, column 9","expression":["Patient.birthDate"]}]}"#
        );
        issue.source = Some("a.json".to_owned());
        assert!(text(&issue.into()).contains(r#""diagnostics":"a.json: line 3, column 9""#));
    }

    #[test]
    fn an_outcome_without_issues_still_has_one() {
        let fine = Outcome::default();
        assert!(!fine.has_errors());
        assert!(text(&fine).contains(r#"{"severity":"information","code":"informational""#));
    }

    #[test]
    fn warnings_are_no_errors() {
        let warning = Issue::new(IssueSeverity::Warning, IssueType::Incomplete, "one site did not answer");
        let mut outcome = Outcome::of(warning);
        assert!(!outcome.has_errors());
        outcome.issues.push(Issue::new(IssueSeverity::Fatal, IssueType::TooLong, "larger than accepted"));
        assert!(outcome.has_errors());
    }

    #[test]
    fn issue_types_are_the_31_of_the_value_set() {
        let codes: std::collections::BTreeSet<_> = IssueType::ALL.iter().map(|it| it.code()).collect();
        assert_eq!(codes.len(), 31);
    }
}
