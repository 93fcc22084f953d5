//! What nobody here could answer, for a terminology server to answer, and its answers.
//!
//! A question is what `$validate-code` takes (FHIR R4 §4.8.15, §4.9.19): a code with its system, and a value
//! set where that is what was asked.

use fhir_models::definition::Membership;

/// Most questions of one validation. Those beyond come up again once the first are answered.
pub const MOST_QUESTIONS: usize = 1_000;

/// Whether a code is in a value set, or, without a value set, one of its code system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// The code system's canonical URL. `None` for an element of type `code`, which has no system: the value
    /// set implies it (`inferSystem` of `$validate-code`).
    pub system: Option<String>,
    /// The code system's version, where the coding states one.
    pub version: Option<String>,
    /// The code.
    pub code: String,
    /// The name that the coding gives the code; only where the code system is asked.
    pub display: Option<String>,
    /// Canonical of the value set, with version where the binding names one; `None` asks the code system.
    pub value_set: Option<String>,
}

/// What a server says to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Answer {
    /// Whether the code is in the set. `Unknown`: the server can't tell either, don't ask again.
    pub membership: Membership,
    /// What it said, for the person who reads the finding.
    pub message: Option<String>,
    /// Where the code is right and the display asked about is none of its own: the right display.
    pub display: Option<String>,
}

impl Answer {
    /// An answer without comment.
    pub fn of(membership: Membership) -> Answer {
        Answer { membership, message: None, display: None }
    }
}

/// Answers that are at hand already: what earlier validations asked and a server replied.
pub trait Answers: Send + Sync {
    /// The answer to this question. `None` where it was never asked: it is then one of the report's questions.
    fn answer(&self, question: &Question) -> Option<Answer>;
}

/// No answer to anything.
impl Answers for () {
    fn answer(&self, _: &Question) -> Option<Answer> {
        None
    }
}
