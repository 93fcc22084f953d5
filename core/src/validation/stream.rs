//! Issues handed over as they are found, until the listener has heard enough.
//!
//! For callers that answer at the first error, or that write issues away without keeping them. Issues come in
//! the order in which the rules find them: the form of the text first, then structure, then extensions, then profiles; a report
//! ([`Validator::validate`]) sorts them by place instead.

use std::ops::ControlFlow;

use fhir_models::document::Document;

use super::finding::Finding;
use super::locate::{Lines, Locator};
use super::types::Types;
use super::{Validator, form, issue};
use crate::outcome::Issue;

/// What a streamed validation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Streamed {
    /// Issues handed over.
    pub issues: usize,
    /// Errors among them.
    pub errors: usize,
    /// The listener asked to stop: there may be more to find.
    pub stopped: bool,
    /// [`Settings::findings`](super::Settings::findings) was reached: there may be more to find.
    pub truncated: bool,
    /// Codes that no value set at hand could judge.
    pub unknown_codes: usize,
    /// Invariants that could not be evaluated.
    pub unchecked_invariants: usize,
}

impl Streamed {
    fn hand_over(&mut self, issue: Issue, each: &mut dyn FnMut(Issue) -> ControlFlow<()>) -> ControlFlow<()> {
        self.issues += 1;
        self.errors += usize::from(issue.severity.is_error());
        let flow = each(issue);
        self.stopped = flow.is_break();
        flow
    }
}

/// Hears findings during a walk; breaks to end it.
pub(super) type Listener<'v> = Box<dyn FnMut(Finding) -> ControlFlow<()> + 'v>;

impl Validator {
    /// Validates a resource and hands over each issue as it is found; the listener may stop the validation.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// use fhir_models::definition::Definitions;
    /// use fhir_models::document::{Limits, Tape};
    /// use varco_core::validation::Validator;
    ///
    /// let validator = Validator::new(Definitions::r4());
    /// let text = br#"{"resourceType": "Patient", "gender": "donna", "birthDate": "1971-02-30"}"#;
    /// let mut tape = Tape::new();
    /// let document = tape.parse_json(text, &Limits::default())?;
    ///
    /// let mut first = None;
    /// let streamed = validator.stream(document, &mut |issue| {
    ///     first = Some(issue);
    ///     ControlFlow::Break(())
    /// });
    /// assert!(streamed.stopped);
    /// assert_eq!(first.and_then(|issue| issue.expression).as_deref(), Some("Patient.gender"));
    /// # Ok::<(), fhir_models::document::SyntaxError>(())
    /// ```
    pub fn stream(&self, document: Document<'_>, each: &mut dyn FnMut(Issue) -> ControlFlow<()>) -> Streamed {
        let mut streamed = Streamed { truncated: document.has_more_form_faults(), ..Streamed::default() };
        for issue in form::among(&self.types, document, Vec::new()) {
            if streamed.hand_over(issue, each).is_break() {
                return streamed;
            }
        }
        let mut places = Places::new(&self.types, document, self.called());
        let listener: Listener<'_> = Box::new(|finding| streamed.hand_over(places.issue(finding), each));
        let mut walk = self.begin(document, self.settings, None);
        walk.listener = Some(listener);
        self.finish(&mut walk, document);
        let (unknown_codes, unchecked_invariants) = (walk.unknown_codes, walk.unchecked_invariants);
        let full = walk.full;
        drop(walk);
        let more = full && !streamed.stopped;
        Streamed { truncated: streamed.truncated || more, unknown_codes, unchecked_invariants, ..streamed }
    }
}

/// Places of findings that come in any order.
struct Places<'v, 'd> {
    document: Document<'d>,
    locator: Locator<'v, 'd>,
    lines: Lines<'d>,
    last: usize,
}

impl<'v, 'd> Places<'v, 'd> {
    fn new(types: &'v Types, document: Document<'d>, called: Option<&'v str>) -> Places<'v, 'd> {
        let lines = Lines::new(document.source());
        Places { document, locator: Locator::new(types, document).called(called), lines, last: 0 }
    }

    fn issue(&mut self, finding: Finding) -> Issue {
        let expression = self.locator.expression(finding.element);
        let offset = issue::offset(self.document, &finding);
        if offset < self.last {
            self.lines = Lines::new(self.document.source());
        }
        self.last = offset;
        issue::of(finding.fault, expression, self.lines.position(offset))
    }
}
