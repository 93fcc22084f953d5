//! A consent made ready to be asked, many times.
//!
//! Invariant: provisions stand in document order, each before its exceptions; `end` of a provision is the
//! index after its last exception. Nothing undecidable is left in a permit's conditions (such alternatives are
//! dropped, so they never match) nor in a deny's (such a condition is dropped, so it always matches).

use std::sync::Arc;

use super::condition::{ActorTest, ClassTest, CodeTest, DataTest, LabelTest};
use super::{Action, Interval, LiteralReference, Question};
use crate::requester::BusinessIdentifier;

/// What a provision does where it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It allows.
    Permit,
    /// It forbids.
    Deny,
}

/// Whose consent it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsentPatient {
    /// The literal reference, where there is one that can be compared.
    pub reference: Option<LiteralReference>,
    /// The business identifiers, from a logical reference or a contained Patient.
    pub identifiers: Vec<BusinessIdentifier>,
}

/// Why a consent never decides, or decides against everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Standing {
    /// It counts.
    Counts,
    /// Its status is one that doesn't count: the status.
    Status(&'static str),
    /// It is about something else than privacy.
    Scope,
    /// What it means can't be told: it denies whatever it may be about.
    Undecidable(&'static str),
}

/// Something in a provision that can't be decided by anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    pub element: &'static str,
    pub cause: &'static str,
}

/// The dates of the data, with the words of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PeriodTest {
    pub span: Interval,
    pub start: Option<Box<str>>,
    pub end: Option<Box<str>>,
}

/// The conditions on a resource. `None` puts no condition; an empty list is never met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DataConditions {
    pub classes: Option<Arc<[ClassTest]>>,
    pub codes: Option<Arc<[CodeTest]>>,
    pub labels: Option<Arc<[LabelTest]>>,
    pub period: Option<Arc<[PeriodTest]>>,
    pub data: Option<Arc<[DataTest]>>,
}

impl DataConditions {
    pub fn is_empty(&self) -> bool {
        self.classes.is_none()
            && self.codes.is_none()
            && self.labels.is_none()
            && self.period.is_none()
            && self.data.is_none()
    }

    /// True where one of the lists is empty: no resource meets them.
    pub fn is_unmeetable(&self) -> bool {
        self.classes.as_ref().is_some_and(|list| list.is_empty())
            || self.codes.as_ref().is_some_and(|list| list.is_empty())
            || self.labels.as_ref().is_some_and(|list| list.is_empty())
            || self.period.as_ref().is_some_and(|list| list.is_empty())
            || self.data.as_ref().is_some_and(|list| list.is_empty())
    }
}

/// A rule of a consent.
#[derive(Debug, Clone)]
pub(super) struct Provision {
    pub effect: Effect,
    /// Where it stands: `provision.provision[2]`.
    pub path: Box<str>,
    /// The index after its last exception.
    pub end: usize,
    /// A permit that can't be read: it never matches.
    pub never: bool,
    pub period: Option<Interval>,
    pub actors: Option<Arc<[ActorTest]>>,
    pub actions: Option<Arc<[Action]>>,
    pub purposes: Option<Arc<[CodeTest]>>,
    pub data: Arc<DataConditions>,
    pub doubts: Box<[Doubt]>,
}

/// When a consent holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    In,
    Out,
    /// It can't be told, for this cause: what it permits does not count, what it denies does.
    Doubtful(&'static str),
}

impl Force {
    pub fn is_doubtful(self) -> bool {
        matches!(self, Force::Doubtful(_))
    }
}

/// The time for which a consent is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    Always,
    Within(Interval),
    Unreadable,
}

/// A consent made ready to be asked.
#[derive(Debug, Clone)]
pub struct CompiledConsent {
    pub(super) id: Box<str>,
    pub(super) version: Option<Box<str>>,
    pub(super) patient: ConsentPatient,
    pub(super) dated: Option<Interval>,
    pub(super) standing: Standing,
    pub(super) validity: Validity,
    /// False where it says that it was not verified.
    pub(super) verified: bool,
    /// The base decision and its exceptions; never empty.
    pub(super) provisions: Vec<Provision>,
}

impl CompiledConsent {
    /// The consent, as `Consent/id`; `Consent` where it has no id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The version, from `meta.versionId`.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Whose consent it is.
    pub fn patient(&self) -> &ConsentPatient {
        &self.patient
    }

    /// When it was given (`dateTime`), as far as it can be read.
    pub fn dated(&self) -> Option<Interval> {
        self.dated
    }

    /// True where its status and scope let it decide at all.
    pub fn can_decide(&self) -> bool {
        matches!(self.standing, Standing::Counts | Standing::Undecidable(_))
    }

    /// How many provisions it has, the base decision included.
    pub fn provisions(&self) -> usize {
        self.provisions.len()
    }

    /// A consent that could not be compiled, or not be read at all: it denies everything, so that a fault in a
    /// document or a store never opens what the patient may have closed.
    pub fn unreadable(id: impl Into<Box<str>>, patient: ConsentPatient) -> CompiledConsent {
        CompiledConsent {
            id: id.into(),
            version: None,
            patient,
            dated: None,
            standing: Standing::Undecidable("the consent could not be read"),
            validity: Validity::Always,
            verified: true,
            provisions: vec![Provision::unconditional(Effect::Deny, "provision")],
        }
    }

    pub(super) fn force(&self, question: &Question<'_>) -> Force {
        let at = question.at;
        match self.validity {
            Validity::Within(period) if !period.contains(at) => return Force::Out,
            Validity::Unreadable => return Force::Doubtful("its period can't be read"),
            _ => {}
        }
        if self.dated.is_some_and(|dated| dated.start > at) {
            return Force::Doubtful("its date lies in the future");
        }
        if !self.verified {
            return Force::Doubtful("it says that it was not verified");
        }
        if question.of_age.is_some_and(|age| age.outgrown(self.dated, at)) {
            return Force::Doubtful("it may have been given before the patient came of age");
        }
        Force::In
    }

    /// The exceptions of a provision, by index.
    pub(super) fn exceptions(&self, of: usize) -> impl Iterator<Item = usize> {
        let end = self.provisions.get(of).map_or(0, |provision| provision.end);
        let mut next = of + 1;
        std::iter::from_fn(move || {
            let here = next;
            let provision = self.provisions.get(here).filter(|_| here < end)?;
            next = provision.end.max(here + 1);
            Some(here)
        })
    }
}

impl Provision {
    pub fn unconditional(effect: Effect, path: &str) -> Provision {
        Provision {
            effect,
            path: path.into(),
            end: 1,
            never: false,
            period: None,
            actors: None,
            actions: None,
            purposes: None,
            data: Arc::default(),
            doubts: Box::default(),
        }
    }
}
