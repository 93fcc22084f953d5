//! The one place that answers for codes during a validation: the definitions first, then the answers that a
//! server gave before; what is left becomes a question.
//!
//! Invariant: without [`Answers`] a question that stays unknown costs nothing.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use fhir_models::definition::{CodeRules, Definitions, Membership, ValueSet};

use super::question::{Answer, Answers, MOST_QUESTIONS, Question};
use super::rules::Rules;

/// A code as an instance states it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Code<'c> {
    pub system: Option<&'c str>,
    pub version: Option<&'c str>,
    pub code: &'c str,
}

impl<'c> Code<'c> {
    /// The value of an element of type `code`.
    pub fn bare(code: &'c str) -> Code<'c> {
        Code { system: None, version: None, code }
    }
}

/// Answers for one validation.
pub(crate) struct Codes<'v> {
    definitions: &'v Definitions,
    answers: Option<&'v dyn Answers>,
    questions: RefCell<BTreeSet<Question>>,
}

impl fmt::Debug for Codes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codes").field("questions", &self.questions).finish_non_exhaustive()
    }
}

impl<'v> Codes<'v> {
    pub fn new(definitions: &'v Definitions, answers: Option<&'v dyn Answers>) -> Codes<'v> {
        Codes { definitions, answers, questions: RefCell::default() }
    }

    pub fn definitions(&self) -> &'v Definitions {
        self.definitions
    }

    /// What was asked before, if at all: for a part of the work that has its own [`Codes`].
    pub fn answers(&self) -> Option<&'v dyn Answers> {
        self.answers
    }

    /// Whether a code is in a value set; `set` is the set behind `canonical`, where it is at hand.
    pub fn in_value_set(&self, set: Option<&ValueSet>, canonical: &str, code: Code<'_>) -> Membership {
        match set.map_or_else(
            || implicit(canonical, code),
            |set| Some(set.membership_by(code.system, code.code, &Rules)),
        ) {
            Some(known @ (Membership::Member | Membership::NotMember)) => known,
            // A coding without its system means nothing to a server either.
            Some(Membership::Unknown) | None => {
                self.ask(code, None, Some(canonical)).map_or(Membership::Unknown, |it| it.membership)
            }
        }
    }

    /// The same for a value set by its canonical.
    pub fn in_value_set_of(&self, canonical: &str, code: Code<'_>) -> Membership {
        self.in_value_set(self.definitions.value_set(canonical).as_deref(), canonical, code)
    }

    /// What a server said of a code that the definitions can't judge; where it was not asked yet, it becomes
    /// a question.
    pub fn ask(&self, code: Code<'_>, display: Option<&str>, value_set: Option<&str>) -> Option<Answer> {
        let answers = self.answers?;
        let question = Question {
            system: code.system.map(str::to_owned),
            version: code.version.map(str::to_owned),
            code: code.code.to_owned(),
            display: display.map(str::to_owned),
            value_set: value_set.map(str::to_owned),
        };
        // A contained value set has no name outside of its resource.
        if value_set.is_some_and(|canonical| canonical.contains('#')) {
            return None;
        }
        let answer = answers.answer(&question);
        let mut questions = self.questions.borrow_mut();
        if answer.is_none() && questions.len() < MOST_QUESTIONS {
            questions.insert(question);
        }
        answer
    }

    /// Adds the questions of a part of the work.
    pub fn absorb(&self, part: Codes<'_>) {
        let mut questions = self.questions.borrow_mut();
        let room = MOST_QUESTIONS.saturating_sub(questions.len());
        questions.extend(part.questions.into_inner().into_iter().take(room));
    }

    /// The questions that stayed, sorted.
    pub fn into_questions(self) -> Vec<Question> {
        self.questions.into_inner().into_iter().collect()
    }
}

/// Value sets that a code system implies, which are nowhere written down: `http://snomed.info/sct?fhir_vs…`,
/// `http://loinc.org/vs…` (FHIR R4 §4.3.16.10, §4.3.17.7). They hold codes of that system alone.
fn implicit(canonical: &str, code: Code<'_>) -> Option<Membership> {
    let system = if canonical.starts_with("http://snomed.info/sct") && canonical.contains("?fhir_vs") {
        "http://snomed.info/sct"
    } else if canonical == "http://loinc.org/vs" || canonical.starts_with("http://loinc.org/vs/") {
        "http://loinc.org"
    } else {
        return None;
    };
    if code.system.is_some_and(|own| own != system) {
        return Some(Membership::NotMember);
    }
    Some(Rules.membership(system, code.code))
}
