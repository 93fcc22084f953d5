//! What one consent says to one question.
//!
//! The walk is the same with and without a resource. With one, each provision applies or does not; without,
//! the conditions on data are left over and become residual rules ([`super::residual`]).

use super::compiled::{DataConditions, Force, Provision, Standing};
use super::condition::{actions, actors, classes, codes, data, data_period, labels, purposes};
use super::{CompiledConsent, Effect, Question, ResourceFacts};

/// What one consent says about one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it is not in force, or it denies something else.
    Silent,
    /// It permits something, but nothing to this request.
    Unaddressed,
    /// It permits something to this request, but not this resource; or it may not count.
    Withheld,
    /// It permits, by the provision with this index.
    Permit(usize),
    /// It denies, by the provision with this index.
    Deny(usize),
}

impl CompiledConsent {
    /// True where it speaks at all at this time.
    pub(super) fn speaks(&self, question: &Question<'_>) -> bool {
        self.can_decide() && self.force(question) != Force::Out
    }

    /// True where it has a decision for this request, whatever the resource: a permit or deny whose conditions
    /// on the request are met.
    pub(super) fn addresses(&self, question: &Question<'_>) -> bool {
        let Some(root) = self.provisions.first() else { return false };
        if matches!(self.standing, Standing::Undecidable(_)) || root.meets_request(question) {
            return true;
        }
        self.exceptions(0).filter_map(|index| self.provisions.get(index)).any(|exception| {
            (root.effect == Effect::Deny || exception.effect == Effect::Permit)
                && exception.meets_request(question)
        })
    }

    /// The verdict on one resource.
    pub(super) fn verdict(&self, question: &Question<'_>, facts: &ResourceFacts) -> Verdict {
        if !self.speaks(question) {
            return Verdict::Silent;
        }
        if matches!(self.standing, Standing::Undecidable(_)) {
            return Verdict::Deny(0);
        }
        let Some(root) = self.provisions.first() else { return Verdict::Deny(0) };
        if root.effect == Effect::Permit && !self.addresses(question) {
            return Verdict::Unaddressed;
        }
        let doubtful = self.force(question).is_doubtful();
        let by_exception =
            self.decided(self.exceptions(0), question, facts, doubtful && root.effect == Effect::Deny);
        let verdict = match (by_exception, root.effect) {
            (Some((Effect::Deny, by)), _) => Verdict::Deny(by),
            (Some((Effect::Permit, by)), _) => Verdict::Permit(by),
            (None, effect) if root.applies(question, facts) => match effect {
                Effect::Permit => Verdict::Permit(0),
                Effect::Deny => Verdict::Deny(0),
            },
            (None, Effect::Permit) => Verdict::Withheld,
            (None, Effect::Deny) => Verdict::Silent,
        };
        match verdict {
            Verdict::Permit(_) if doubtful => Verdict::Withheld,
            verdict => verdict,
        }
    }

    /// The effect of provisions side by side: a deny wins over a permit. `denies_only`: a consent that denies
    /// and may not be in force reopens nothing.
    fn decided(
        &self,
        side_by_side: impl Iterator<Item = usize>,
        question: &Question<'_>,
        facts: &ResourceFacts,
        denies_only: bool,
    ) -> Option<(Effect, usize)> {
        let mut permitted = None;
        for index in side_by_side {
            let Some(provision) = self.provisions.get(index) else { break };
            let ignored = denies_only && provision.effect == Effect::Permit;
            if ignored || !provision.applies(question, facts) {
                continue;
            }
            let by_exception = self.decided(self.exceptions(index), question, facts, denies_only);
            match by_exception.unwrap_or((provision.effect, index)) {
                (Effect::Deny, by) => return Some((Effect::Deny, by)),
                permit => permitted = permitted.or(Some(permit)),
            }
        }
        permitted
    }
}

impl Provision {
    fn applies(&self, question: &Question<'_>, facts: &ResourceFacts) -> bool {
        self.meets_request(question) && self.data.met_by(self.effect, facts)
    }

    /// Whether the conditions that the request alone can meet hold.
    pub fn meets_request(&self, question: &Question<'_>) -> bool {
        !self.never && self.unmet(question).is_none()
    }

    /// The first element of the request's conditions that does not hold.
    pub fn unmet(&self, question: &Question<'_>) -> Option<&'static str> {
        let effect = self.effect;
        if self.period.is_some_and(|period| !period.contains(question.at)) {
            return Some("period");
        }
        if self
            .purposes
            .as_ref()
            .is_some_and(|tests| !purposes(tests, &question.requester.purposes, effect).holds(effect))
        {
            return Some("purpose");
        }
        if self.actions.as_ref().is_some_and(|listed| !actions(listed, question.action).holds(effect)) {
            return Some("action");
        }
        if self.actors.as_ref().is_some_and(|tests| !actors(tests, question).holds(effect)) {
            return Some("actor");
        }
        None
    }
}

impl DataConditions {
    pub fn met_by(&self, effect: Effect, facts: &ResourceFacts) -> bool {
        self.unmet(effect, facts).is_none()
    }

    /// The first element that does not hold.
    pub fn unmet(&self, effect: Effect, facts: &ResourceFacts) -> Option<&'static str> {
        if self.labels.as_ref().is_some_and(|tests| !labels(tests, &facts.labels, effect).holds(effect)) {
            return Some("securityLabel");
        }
        if self.classes.as_ref().is_some_and(|tests| !classes(tests, facts).holds(effect)) {
            return Some("class");
        }
        if self.data.as_ref().is_some_and(|tests| !data(tests, facts).holds(effect)) {
            return Some("data");
        }
        if self.period.as_ref().is_some_and(|tests| {
            !tests.iter().any(|test| data_period(&test.span, facts, effect).holds(effect))
        }) {
            return Some("dataPeriod");
        }
        if self.codes.as_ref().is_some_and(|tests| !codes(tests, facts).holds(effect)) {
            return Some("code");
        }
        None
    }
}
