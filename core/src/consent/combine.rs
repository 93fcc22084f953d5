//! Several consents of one patient, one answer.
//!
//! [`outcome`] is the cheap question, for each of many resources; [`decide`] is the one that explains and, where
//! the resource is not known, gives the residual rules. Both walk the same verdicts.

use super::compiled::Standing;
use super::condition::purposes_conflict;
use super::explain::{self, Part};
use super::residual::Rules;
use super::verdict::Verdict;
use super::{CompiledConsent, Decision, Effect, Outcome, Question, Residual, ResourceFacts};

/// How several consents are combined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Combining {
    /// One that denies wins over any that permit.
    #[default]
    DenyOverrides,
    /// The most recent (`dateTime`) of those that speak about the request decides alone. Where the order can't
    /// be told, all that may be the most recent must agree.
    MostRecent,
    /// All that speak about the request must agree; else it is denied.
    RefuseAmbiguous,
}

impl Combining {
    /// All of them.
    pub const ALL: &'static [Combining] =
        &[Combining::DenyOverrides, Combining::MostRecent, Combining::RefuseAmbiguous];

    /// The word for it in the configuration.
    pub fn code(self) -> &'static str {
        match self {
            Combining::DenyOverrides => "deny-overrides",
            Combining::MostRecent => "most-recent",
            Combining::RefuseAmbiguous => "refuse-ambiguous",
        }
    }

    /// The setting with this name.
    pub fn of_code(code: &str) -> Option<Combining> {
        Combining::ALL.iter().copied().find(|combining| combining.code() == code)
    }
}

/// What consents say about one resource, without reasons and without allocation. Without a resource, it is the
/// outcome of [`decide`].
pub fn outcome(consents: &[&CompiledConsent], question: &Question<'_>, combining: Combining) -> Outcome {
    match question.resource {
        Some(facts) => combined(consents, question, facts, combining).0,
        None => request_level(consents, question, combining).0,
    }
}

/// What consents say, what is left to decide, and why. The consents must be those of the one patient whose
/// data is asked for.
pub fn decide(consents: &[&CompiledConsent], question: &Question<'_>, combining: Combining) -> Decision {
    let parts = |consent: &&CompiledConsent| {
        let part =
            if has_part(consents, consent, question, combining) { Part::Counts } else { Part::Superseded };
        explain::reasons(consent, question, part)
    };
    let mut because: Vec<_> = consents.iter().flat_map(parts).collect();
    if let Some(facts) = question.resource {
        let (outcome, contradiction) = combined(consents, question, facts, combining);
        because.extend(contradiction.then(explain::contradiction));
        let conflict = purposes_conflict(&question.requester.purposes, &facts.labels);
        because.extend(conflict.then(explain::purposes_conflict));
        return Decision { outcome, residual: Vec::new(), rest: outcome, because, purposes: Box::default() };
    }
    let (outcome, residual, rest) = request_level(consents, question, combining);
    let purposes = question.requester.purposes.clone().into();
    Decision { outcome, residual, rest, because, purposes }
}

/// The outcome, and whether consents that had to agree contradict each other.
fn combined(
    consents: &[&CompiledConsent],
    question: &Question<'_>,
    facts: &ResourceFacts,
    combining: Combining,
) -> (Outcome, bool) {
    let (mut permits, mut denies, mut withholds, mut unaddressed) = (false, false, false, false);
    for consent in consents {
        if !has_part(consents, consent, question, combining) {
            unaddressed |= consent.is_unaddressed(question);
            continue;
        }
        match consent.verdict(question, facts) {
            Verdict::Silent => {}
            Verdict::Unaddressed => unaddressed = true,
            Verdict::Withheld => withholds = true,
            Verdict::Permit(_) => permits = true,
            Verdict::Deny(_) => denies = true,
        }
    }
    let must_agree = combining != Combining::DenyOverrides;
    let conflict = || purposes_conflict(&question.requester.purposes, &facts.labels);
    let outcome = if denies || (must_agree && withholds) || (permits && conflict()) {
        Outcome::Deny
    } else if permits {
        Outcome::Permit
    } else if withholds || unaddressed {
        Outcome::Deny
    } else {
        Outcome::NoConsent
    };
    (outcome, must_agree && permits && (denies || withholds))
}

/// What holds at the level of the request: the outcome, the residual rules, and the rest.
fn request_level(
    consents: &[&CompiledConsent],
    question: &Question<'_>,
    combining: Combining,
) -> (Outcome, Vec<Residual>, Outcome) {
    let mut all = Rules::default();
    let mut restricted = false;
    for (origin, consent) in consents.iter().enumerate() {
        if consent.is_unaddressed(question) {
            restricted = true;
            continue;
        }
        if !consent.speaks(question) || !has_part(consents, consent, question, combining) {
            continue;
        }
        let mut own = consent.rules_or_deny(question);
        let permits = consent.provisions.first().is_some_and(|root| root.effect == Effect::Permit);
        if permits && !consent.is_undecidable() {
            restricted = true;
            let open = own.permits.iter().any(Residual::is_unconditional);
            if combining != Combining::DenyOverrides && !open {
                own.forbids.push(Residual::all_but(consent, &own.permits));
            }
        }
        own.permits.iter_mut().chain(&mut own.forbids).for_each(|rule| rule.origin = origin);
        all.permits.append(&mut own.permits);
        all.forbids.append(&mut own.forbids);
    }
    let Rules { mut permits, mut forbids } = all;
    if forbids.iter().any(Residual::is_unconditional) {
        return (Outcome::Deny, Vec::new(), Outcome::Deny);
    }
    let mut rest = if restricted { Outcome::Deny } else { Outcome::NoConsent };
    let outcome = if permits.is_empty() { rest } else { Outcome::Permit };
    if outcome == Outcome::Deny {
        return (outcome, Vec::new(), outcome);
    }
    if permits.iter().any(Residual::is_unconditional) {
        rest = Outcome::Permit;
        permits.clear();
    }
    // "All but what these permit" says nothing more where nobody else permits: the rest is denied.
    forbids.retain(|forbid| {
        let closes = forbid.covers_everything()
            && !permits.is_empty()
            && forbid.exceptions() == permits.len()
            && permits.iter().all(|permit| permit.origin == forbid.origin);
        if closes {
            rest = Outcome::Deny;
        }
        !closes
    });
    permits.append(&mut forbids);
    (outcome, permits, rest)
}

/// The rules that deny, at the level of the request, whatever else holds.
pub(super) fn forbids(
    consents: &[&CompiledConsent],
    question: &Question<'_>,
    combining: Combining,
) -> Vec<Residual> {
    let mut all = Vec::new();
    for (origin, consent) in consents.iter().enumerate() {
        let counts = !consent.is_unaddressed(question)
            && consent.speaks(question)
            && has_part(consents, consent, question, combining);
        if counts {
            let mut own = consent.rules_or_deny(question).forbids;
            own.iter_mut().for_each(|rule| rule.origin = origin);
            all.append(&mut own);
        }
    }
    all
}

/// Whether a consent takes part under a setting.
fn has_part(
    consents: &[&CompiledConsent],
    consent: &CompiledConsent,
    question: &Question<'_>,
    combining: Combining,
) -> bool {
    let candidate = |consent: &CompiledConsent| consent.speaks(question) && consent.addresses(question);
    match combining {
        Combining::DenyOverrides => true,
        Combining::RefuseAmbiguous => candidate(consent),
        Combining::MostRecent => {
            let newer = |other: &&&CompiledConsent| match (consent.dated, other.dated) {
                (Some(own), Some(theirs)) => theirs.start >= own.end,
                _ => false,
            };
            candidate(consent) && !consents.iter().filter(newer).any(|other| candidate(other))
        }
    }
}

impl CompiledConsent {
    fn is_undecidable(&self) -> bool {
        matches!(self.standing, Standing::Undecidable(_))
    }

    /// True where it permits something, but nothing to this request.
    pub(super) fn is_unaddressed(&self, question: &Question<'_>) -> bool {
        let permits = self.provisions.first().is_some_and(|root| root.effect == Effect::Permit);
        permits && self.speaks(question) && !self.addresses(question)
    }

    fn rules_or_deny(&self, question: &Question<'_>) -> Rules {
        if self.is_undecidable() {
            return Rules { permits: Vec::new(), forbids: vec![Residual::all_but(self, &[])] };
        }
        self.rules(question)
    }
}
