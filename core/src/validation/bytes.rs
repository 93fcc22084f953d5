//! Resources as bytes: FHIR JSON or FHIR XML, whatever they hold.
//!
//! Bytes that are no document are the sender's fault like any other: an issue with its place, not an error of
//! the call. Nothing here panics or grows beyond the bounds of [`Validator::with_limits`] and
//! [`Settings`](super::Settings).

use std::ops::ControlFlow;

use fhir_models::document::xml::root_of_xml;
use fhir_models::document::{Document, Format, Name, SyntaxError, Tape};

use super::stream::Streamed;
use super::{ValidationReport, Validator};
use crate::mapping::LogicalXml;
use crate::outcome::{Issue, IssueSeverity, IssueType};

impl Validator {
    /// Reads bytes as FHIR JSON or FHIR XML, whichever they begin like. Faults of form that the rest can be judged
    /// beside are noted in the document, and [`Validator::validate`] lists them. The document borrows the bytes and the
    /// tape, which is scratch memory: give the same one again and its memory is used again.
    ///
    /// # Errors
    /// [`SyntaxError`] where they are no document, or one beyond the limits; [`syntax_issue`] tells it in FHIR.
    pub fn read<'a>(&self, tape: &'a mut Tape, bytes: &'a [u8]) -> Result<Document<'a>, SyntaxError> {
        if let Some((root, schema)) = self.logical_root(bytes) {
            return tape.parse_logical_tolerant(bytes, root, schema, &self.limits);
        }
        tape.parse_tolerant(bytes, &*self.schema, &self.limits)
    }

    /// Where an instance of a logical model is asked for, and XML is no FHIR resource: the type of its root.
    fn logical_root(&self, bytes: &[u8]) -> Option<(u32, &LogicalXml)> {
        if self.asked.is_empty() || Format::of(bytes) != Format::Xml {
            return None;
        }
        let model = self.models().first()?;
        if let Ok((local, namespace)) = root_of_xml(bytes)
            && namespace.as_deref() == Some("http://hl7.org/fhir")
            && self.types.is_resource(Name::of(&local))
        {
            return None;
        }
        let xml = self.logical_xml.get_or_init(|| LogicalXml::new(self.types.shared()));
        Some((xml.type_of(&model.url)?, xml))
    }

    /// Validates the bytes of one resource, JSON or XML.
    ///
    /// ```
    /// use fhir_models::definition::Definitions;
    /// use varco_core::validation::Validator;
    ///
    /// let validator = Validator::new(Definitions::r4());
    /// let report = validator.validate_bytes(br#"{"resourceType": "Patient", "gender": "donna"}"#);
    /// let issue = &report.issues[0];
    /// assert_eq!(issue.expression.as_deref(), Some("Patient.gender"));
    /// assert_eq!(issue.position.map(|at| (at.line, at.column)), Some((1, 29)));
    ///
    /// // What is no document at all has an issue too.
    /// assert!(!validator.validate_bytes(b"{\"resourceType\":").is_valid());
    /// assert!(!validator.validate_bytes(b"\xFF\x00").is_valid());
    /// ```
    pub fn validate_bytes(&self, bytes: &[u8]) -> ValidationReport {
        self.validate_bytes_with(&mut Tape::new(), bytes)
    }

    /// The same with a tape to use again: for many resources, one tape a thread.
    pub fn validate_bytes_with(&self, tape: &mut Tape, bytes: &[u8]) -> ValidationReport {
        match self.read(tape, bytes) {
            Ok(document) => self.validate(document),
            Err(error) => {
                let issues = vec![syntax_issue(&error, Format::of(bytes))];
                ValidationReport { issues, ..ValidationReport::default() }
            }
        }
    }

    /// True where the bytes are one resource without any fault. Stops at the first one.
    pub fn is_valid_bytes(&self, bytes: &[u8]) -> bool {
        self.read(&mut Tape::new(), bytes).is_ok_and(|document| self.is_valid(document))
    }

    /// Validates bytes and hands over each issue as it is found. See [`Validator::stream`].
    pub fn stream_bytes(&self, bytes: &[u8], each: &mut dyn FnMut(Issue) -> ControlFlow<()>) -> Streamed {
        match self.read(&mut Tape::new(), bytes) {
            Ok(document) => self.stream(document, each),
            Err(error) => {
                let stopped = each(syntax_issue(&error, Format::of(bytes))).is_break();
                Streamed { issues: 1, errors: 1, stopped, ..Streamed::default() }
            }
        }
    }
}

/// A text that is no document, as an issue.
pub fn syntax_issue(error: &SyntaxError, format: Format) -> Issue {
    let code = if error.is_limit() { IssueType::TooLong } else { IssueType::Structure };
    let format = match format {
        Format::Json => "a JSON",
        Format::Xml => "a FHIR XML",
    };
    let message = format!("this is not {format} document: {}", error.kind);
    let mut issue = Issue::new(IssueSeverity::Fatal, code, message);
    issue.rule = Some("syntax");
    issue.on(error.position)
}
