//! The decision about one resource: whose data it is, and what those patients' consents say.
//!
//! Invariants: every patient that a resource is about must allow it; a patient who can't be named as one of
//! this server's (a foreign URL, an identifier alone, a contained Patient) allows nothing. A resource that is in
//! no patient's compartment (Organization, Location …) is released by scope alone.

use fhir_models::document::Value;
use varco_core::access::{Labels, PatientReference};
use varco_core::audit::AuditConsent;
use varco_core::consent::{
    Action, CompiledConsent, Decision, LiteralReference, Outcome, Question, ReasonEffect, ResourceFacts,
    decide,
};
use varco_core::interaction::Instance;
use varco_core::requester::BusinessIdentifier;

use super::Refusal;
use super::exchange::Exchange;

/// How many held-back resources are named, by patient and provision, in a request's audit records.
const MOST_WITHHELD_NAMED: usize = 20;

/// `Patient/1`, where the reference names a patient of this server.
fn local(patient: &PatientReference) -> Option<String> {
    match patient {
        PatientReference::Literal(reference) if reference.as_str().starts_with("Patient/") => {
            Some(reference.as_str().to_owned())
        }
        _ => None,
    }
}

/// What was decided about one resource.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// Whether it may be released, or written.
    pub permitted: bool,
    /// The patients of this server that it is about, as `Patient/1`.
    pub patients: Vec<String>,
    /// The provisions that decided.
    pub consents: Vec<AuditConsent>,
    /// What decided where no provision did, in words.
    pub note: Option<&'static str>,
}

impl Exchange<'_> {
    /// Judges a resource that would be released.
    pub async fn judge(&mut self, resource: Value<'_>) -> Result<Judgement, Refusal> {
        self.decide(resource, Action::Access).await
    }

    /// Judges a resource that would be written; refuses where it may not be.
    pub async fn permit_write(&mut self, resource: Value<'_>) -> Result<(), Refusal> {
        let judgement = self.decide(resource, Action::Correct).await?;
        self.account.note(&judgement);
        if judgement.permitted { Ok(()) } else { Err(Refusal::Consent) }
    }

    /// Judges the one resource that was asked for, and notes what came of it.
    pub async fn release_or_refuse(
        &mut self,
        resource: Value<'_>,
        instance: &Instance,
    ) -> Result<(), Refusal> {
        let judgement = self.judge(resource).await?;
        if judgement.permitted {
            self.release(format!("{}/{}", instance.resource_type, instance.id.as_str()), &judgement);
            Ok(())
        } else {
            self.withhold(&judgement);
            Err(Refusal::Absent)
        }
    }

    /// Notes that a resource is released.
    pub fn release(&mut self, reference: String, judgement: &Judgement) {
        self.account.released.push(reference);
        self.account.note(judgement);
    }

    /// Notes that a resource is held back. Of a broad search only the first patients are named in the audit: it
    /// must not be possible to fill the trail by searching what one may not see.
    pub fn withhold(&mut self, judgement: &Judgement) {
        self.account.withheld += 1;
        if self.account.withheld <= MOST_WITHHELD_NAMED {
            self.account.note(judgement);
        }
    }

    async fn decide(&self, resource: Value<'_>, action: Action) -> Result<Judgement, Refusal> {
        let gateway = self.gateway;
        let mut judgement = Judgement { permitted: true, ..Judgement::default() };
        let mut facts = ResourceFacts::of_resource(resource, &gateway.reading);
        for label in Labels::of(resource).codes() {
            if !facts.labels.contains(label) {
                facts.labels.push(label.clone());
            }
        }
        let known_as = self.known_as();
        let patients = gateway.compartment.of(resource, &gateway.reading.bases);
        if !patients.unattributed.is_empty() {
            judgement.permitted = false;
            judgement.note = Some("the resource does not say whose data it is");
        }
        for link in &patients.links {
            // A Patient that is to be created is nobody's data yet: scope alone decides.
            if action == Action::Correct && link.patient == PatientReference::Itself {
                continue;
            }
            let Some(patient) = local(&link.patient) else {
                judgement.permitted = false;
                judgement.note = Some("the resource is about a patient that is not one of this server's");
                continue;
            };
            if judgement.patients.contains(&patient) {
                continue;
            }
            let consents = gateway.store.consents_of(&patient).map_err(Refusal::Store)?;
            let consents: Vec<&CompiledConsent> = consents.iter().map(AsRef::as_ref).collect();
            let question = Question::new(&self.requester, action, self.account.received)
                .known_as(&known_as)
                .about(&facts);
            let decision = decide(&consents, &question, gateway.combining);
            judgement.permitted &= decision.allows(gateway.without_consent);
            if decision.outcome == Outcome::NoConsent {
                judgement.note = Some("no consent applies");
            } else {
                judgement.consents.extend(because(decision));
            }
            judgement.patients.push(patient);
        }
        Ok(judgement)
    }

    /// The local resources that the requester is known as.
    fn known_as(&self) -> Vec<LiteralReference> {
        let own = |identifier: &BusinessIdentifier| {
            self.requester.subject.as_ref() == Some(identifier)
                || self.requester.organizations.contains(identifier)
        };
        let parties = self.gateway.parties.iter().filter(|(identifier, _)| own(identifier));
        parties.map(|(_, reference)| reference.clone()).collect()
    }
}

/// Which provisions brought the decision about.
fn because(decision: Decision) -> impl Iterator<Item = AuditConsent> {
    let permits = decision.outcome == Outcome::Permit;
    let decided = move |effect: ReasonEffect| match effect {
        ReasonEffect::Permit => permits,
        ReasonEffect::Deny | ReasonEffect::Withhold => !permits,
        ReasonEffect::None => false,
    };
    decision.because.into_iter().filter(move |reason| decided(reason.effect)).map(|reason| AuditConsent {
        consent: reason.consent.into(),
        provision: reason.provision.into(),
        effect: reason.effect.code().to_owned(),
    })
}
