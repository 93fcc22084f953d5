//! The answer: an outcome, what is left to decide by resource, and why.

use fhir_models::document::JsonWriter;

use super::condition::purposes_conflict;
use super::{Effect, Residual, ResourceFacts};
use crate::requester::Code;

/// What consents say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is permitted. Before the resource is known: it may proceed, within the residual rules.
    Permit,
    /// It is denied.
    Deny,
    /// No consent says anything: the deployment's setting holds ([`WithoutConsent`]).
    NoConsent,
}

impl Outcome {
    /// The word for it: `permit`, `deny` or `no-consent`.
    pub fn code(self) -> &'static str {
        match self {
            Outcome::Permit => "permit",
            Outcome::Deny => "deny",
            Outcome::NoConsent => "no-consent",
        }
    }

    /// Whether the data may go, given what holds without a consent.
    pub fn allows(self, without: WithoutConsent) -> bool {
        match self {
            Outcome::Permit => true,
            Outcome::Deny => false,
            Outcome::NoConsent => without == WithoutConsent::Permit,
        }
    }
}

/// What holds for a patient who has no consent that says anything (IHE PCF, implicit policy).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum WithoutConsent {
    /// Nothing is given.
    #[default]
    Deny,
    /// What other rules allow is given.
    Permit,
}

/// What a reason contributes to the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReasonEffect {
    /// It permits.
    Permit,
    /// It denies.
    Deny,
    /// It permits something else: with nobody to permit this, it is denied.
    Withhold,
    /// It does not count.
    None,
}

impl ReasonEffect {
    /// The word for it.
    pub fn code(self) -> &'static str {
        match self {
            ReasonEffect::Permit => "permit",
            ReasonEffect::Deny => "deny",
            ReasonEffect::Withhold => "withhold",
            ReasonEffect::None => "none",
        }
    }
}

/// Why: one provision's part. The text names elements, never a person, a code or an identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The consent: `Consent/7`.
    pub consent: Box<str>,
    /// The provision: `provision.provision[2]`; empty where the consent as a whole is meant.
    pub provision: Box<str>,
    /// A sentence for the operator.
    pub text: String,
    /// What it contributes.
    pub effect: ReasonEffect,
}

/// The answer to one question.
#[derive(Debug, Clone)]
pub struct Decision {
    /// What consents say.
    pub outcome: Outcome,
    /// What is left to decide by resource; empty where the resource was known, or nothing depends on it.
    pub residual: Vec<Residual>,
    /// What holds for a resource that no residual rule applies to.
    pub rest: Outcome,
    /// Why, consent by consent.
    pub because: Vec<Reason>,
    /// The purposes claimed: a resource that is labelled for others is not permitted.
    pub(super) purposes: Box<[Code]>,
}

impl Decision {
    /// What the decision says about a resource: a forbid wins, then a permit, then the rest.
    pub fn settle(&self, facts: &ResourceFacts) -> Outcome {
        if self.outcome == Outcome::Deny {
            return Outcome::Deny;
        }
        let applies =
            |effect| self.residual.iter().any(move |rule| rule.effect == effect && rule.applies_to(facts));
        if applies(Effect::Deny) {
            Outcome::Deny
        } else {
            let outcome = if applies(Effect::Permit) { Outcome::Permit } else { self.rest };
            match outcome {
                Outcome::Permit if purposes_conflict(&self.purposes, &facts.labels) => Outcome::Deny,
                outcome => outcome,
            }
        }
    }

    /// Whether the request may proceed, given what holds without a consent.
    pub fn allows(&self, without: WithoutConsent) -> bool {
        self.outcome.allows(without)
    }

    /// `{"decision", "residual", "because"}`. The residual rules stand so that the last one that applies
    /// decides: a forbid of everything where the rest is denied, then permits, then forbids (IHE PCF). Where
    /// no consent speaks about the rest, `"rest": "no-consent"` says so.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = JsonWriter::new();
        json.begin_object().member("decision", self.outcome.code());
        json.key("residual").begin_array();
        if !self.residual.is_empty() && self.rest == Outcome::Deny {
            json.begin_object().member("type", "forbid").end_object();
        }
        for effect in [Effect::Permit, Effect::Deny] {
            self.residual
                .iter()
                .filter(|rule| rule.effect == effect)
                .for_each(|rule| rule.write_json(&mut json));
        }
        json.end_array();
        if !self.residual.is_empty() && self.rest == Outcome::NoConsent {
            json.member("rest", self.rest.code());
        }
        json.key("because").begin_array();
        for reason in &self.because {
            json.begin_object().member("consent", &reason.consent).member("provision", &reason.provision);
            json.member("effect", reason.effect.code()).member("text", &reason.text).end_object();
        }
        json.end_array().end_object();
        json.into_bytes()
    }
}
