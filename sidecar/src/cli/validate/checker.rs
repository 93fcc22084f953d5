//! One resource in, what there is to say about it out. Holds nothing of the run: threads may share it.

use fhir_models::document::{Document, Format, Limits, Name, Position, Tape, Value, name};
use varco_core::outcome::{Issue, IssueSeverity, IssueType};
use varco_core::validation::{ValidationReport, Validator, syntax_issue};

use super::input::Record;

/// Most profiles of one resource that are told apart in summaries.
const MOST_PROFILES: usize = 8;

/// Checks resources.
#[derive(Debug)]
pub(super) struct Checker {
    validator: Validator,
}

/// What was found in one resource.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// Positions are those in the record.
    pub issues: Vec<Issue>,
    /// `None`: no FHIR type, or no document at all.
    pub resource_type: Option<Name>,
    /// Profiles that it claims, as it writes them.
    pub profiles: Vec<String>,
    pub unknown_codes: usize,
    pub unchecked_invariants: usize,
}

impl Checker {
    /// A checker that asks this validator.
    pub fn new(validator: Validator) -> Checker {
        Checker { validator }
    }

    /// The bounds on a resource.
    pub fn limits(&self) -> &Limits {
        self.validator.limits()
    }

    /// Checks a resource. The tape is scratch memory to use again.
    pub fn check(&self, tape: &mut Tape, record: &Record<'_>) -> Checked {
        let mut checked = Checked::default();
        if record.byte_order_mark && Format::of(record.text) == Format::Json {
            let message = "the input begins with a byte-order mark, which JSON does not allow (RFC 8259 §8.1); \
                           it was skipped: save the file as UTF-8 without one";
            let mut warning = Issue::new(IssueSeverity::Warning, IssueType::Structure, message);
            warning.rule = Some("syntax");
            checked.issues.push(warning.on(Position { line: 1, column: 1 }));
        }
        if let Some(message) = no_text_at_all(record.text) {
            let mut fatal = Issue::new(IssueSeverity::Fatal, IssueType::Structure, message);
            fatal.rule = Some("input");
            checked.issues.push(fatal);
            return checked;
        }
        match self.validator.read(tape, record.text) {
            Ok(document) => self.document(document, &mut checked),
            Err(error) => checked.issues.push(syntax_issue(&error, Format::of(record.text))),
        }
        checked
    }

    fn document(&self, document: Document<'_>, checked: &mut Checked) {
        let ValidationReport { issues, unknown_codes, unchecked_invariants, truncated, .. } =
            self.validator.validate(document);
        checked.unknown_codes += unknown_codes;
        checked.unchecked_invariants += unchecked_invariants;
        if truncated {
            let message = "there may be more to find: only the first issues of a resource are listed";
            checked.issues.push(Issue::new(IssueSeverity::Information, IssueType::TooCostly, message));
        }
        checked.issues.extend(issues);
        let root = document.root();
        checked.resource_type =
            root.resource_type().map(|it| Name::of(&it)).filter(|it| *it != Name::UNKNOWN);
        let claimed = root.get(name::META).and_then(|meta| meta.get(name::PROFILE));
        let claimed = claimed.into_iter().flat_map(Value::items).filter_map(Value::as_str);
        checked.profiles = claimed.take(MOST_PROFILES).map(|it| it.into_owned()).collect();
    }
}

/// What an input is that no parser could make sense of, told by its first bytes.
fn no_text_at_all(text: &[u8]) -> Option<&'static str> {
    match text {
        _ if text.trim_ascii().is_empty() => {
            Some("the input is empty: there is no resource in it; check what was to write it")
        }
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, b'{' | b'<', ..] | [b'{' | b'<', 0, ..] => {
            Some("the text is UTF-16: FHIR is exchanged in UTF-8, save it as that")
        }
        [0x1F, 0x8B, ..] => Some("the input is compressed (gzip): unpack it first"),
        [b'P', b'K', 3, 4, ..] => Some("the input is a ZIP archive: unpack it and name the folder"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use fhir_models::definition::Definitions;

    use super::*;

    fn checked(text: &[u8]) -> Checked {
        let checker = Checker::new(Validator::new(Definitions::r4()));
        let byte_order_mark = text.starts_with(b"\xEF\xBB\xBF");
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        let record = Record { text, line: 0, of_many: false, byte_order_mark, read: text.len() };
        checker.check(&mut Tape::new(), &record)
    }

    fn said(text: &[u8]) -> Vec<String> {
        checked(text).issues.into_iter().map(|issue| issue.message).collect()
    }

    #[test]
    fn what_is_no_text_is_told_by_what_it_is() {
        for (bytes, word) in [
            (&b""[..], "empty"),
            (b" \r\n\t", "empty"),
            (b"\xFF\xFE{\0}\0", "UTF-16"),
            (b"\0<\0P", "UTF-16"),
            (b"\x1F\x8B\x08\0", "gzip"),
            (b"PK\x03\x04", "ZIP"),
        ] {
            let said = said(bytes);
            assert!(said.len() == 1 && said.iter().all(|it| it.contains(word)), "{bytes:?}: {said:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_a_fault_of_json_only() {
        assert_eq!(said(b"\xEF\xBB\xBF{\"resourceType\":\"Patient\"}").len(), 1);
        let xml = "\u{feff}<Patient xmlns=\"http://hl7.org/fhir\"><active value=\"true\"/></Patient>";
        assert_eq!(said(xml.as_bytes()), Vec::<String>::new());
    }

    #[test]
    fn a_byte_that_is_not_utf_8_does_not_hide_the_rest() {
        let said = said(b"{\"resourceType\":\"Patient\",\"language\":\"\xE8\",\"cognome\":\"x\"}");
        assert!(said.iter().any(|it| it.contains("not UTF-8")), "{said:?}");
        assert!(said.iter().any(|it| it.contains("cognome")), "{said:?}");
    }

    #[test]
    fn type_and_claimed_profiles_are_told() {
        let text = r#"{"resourceType":"Patient","meta":{"profile":["http://example.org/a","http://example.org/b"]}}"#;
        let checked = checked(text.as_bytes());
        assert_eq!(checked.resource_type, Some(Name::of("Patient")));
        assert_eq!(checked.profiles, ["http://example.org/a", "http://example.org/b"]);
        assert_eq!(self::checked(b"{\"resourceType\":\"Paziente\"}").resource_type, None);
    }
}
