//! The question put to consents: who wants to do what, when, and to which resource.

use jiff::Timestamp;

use super::{ComingOfAge, LiteralReference, ResourceFacts};
use crate::requester::Requester;

/// What is done with the data (`http://terminology.hl7.org/CodeSystem/consentaction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Gather retrieved information.
    Collect,
    /// Retrieve: what a FHIR read or search does.
    Access,
    /// Employ or alter.
    Use,
    /// Give to another party.
    Disclose,
    /// Retrieve and correct: what a FHIR create, update, patch or delete does.
    Correct,
}

impl Action {
    /// All of them.
    pub const ALL: &'static [Action] =
        &[Action::Collect, Action::Access, Action::Use, Action::Disclose, Action::Correct];

    /// The code in `consentaction`.
    pub fn code(self) -> &'static str {
        match self {
            Action::Collect => "collect",
            Action::Access => "access",
            Action::Use => "use",
            Action::Disclose => "disclose",
            Action::Correct => "correct",
        }
    }

    /// The action with this code.
    pub fn of_code(code: &str) -> Option<Action> {
        Action::ALL.iter().copied().find(|action| action.code() == code)
    }
}

/// One question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who asks, as the sidecar has established it.
    pub requester: &'a Requester,
    /// The FHIR resources that the requester is known as here: person, role, organisation, and the groups and
    /// care teams that the requester belongs to. Where a type occurs, the list of that type is complete; a type
    /// that does not occur is unknown.
    pub known_as: &'a [LiteralReference],
    /// What is to be done.
    pub action: Action,
    /// The instant that counts.
    pub at: Timestamp,
    /// When the patient came, or will come, of age, where that ends what was permitted before; `None` where it
    /// ends nothing.
    pub of_age: Option<ComingOfAge>,
    /// The resource; `None` asks what holds before any resource is known.
    pub resource: Option<&'a ResourceFacts>,
    /// Whether the reasons of the answer are told in words, too.
    pub in_words: bool,
}

impl<'a> Question<'a> {
    /// A question at the level of the request.
    pub fn new(requester: &'a Requester, action: Action, at: Timestamp) -> Question<'a> {
        Question { requester, known_as: &[], action, at, of_age: None, resource: None, in_words: true }
    }

    /// The same, from a requester who is known as these resources.
    pub fn known_as(self, known_as: &'a [LiteralReference]) -> Question<'a> {
        Question { known_as, ..self }
    }

    /// The same, about a patient who comes of age then.
    pub fn of_age(self, of_age: Option<ComingOfAge>) -> Question<'a> {
        Question { of_age, ..self }
    }

    /// The same, where nobody reads the reasons: which provisions decided is told, and their texts are empty.
    pub fn without_words(self) -> Question<'a> {
        Question { in_words: false, ..self }
    }

    /// The same, about one resource.
    pub fn about(self, resource: &'a ResourceFacts) -> Question<'a> {
        Question { resource: Some(resource), ..self }
    }
}
