//! The decision about one resource: whose data it is, and what those patients' consents say.
//!
//! Invariants: every patient that a resource is about must allow it; a patient who can't be named as one of
//! this server's (a foreign URL, an identifier alone, a contained Patient) allows nothing. A resource that is in
//! no patient's compartment (Organization, Location …) is released by scope alone.

use std::sync::Arc;

use fhir_models::document::{OwnedDocument, Value, name};
use varco_core::access::{PatientReference, Patients};
use varco_core::audit::AuditConsent;
use varco_core::consent::{
    Action, CompiledConsent, ConsentPatient, Decision, LiteralReference, Outcome, Question, ReasonEffect,
    ResourceFacts, decide,
};
use varco_core::interaction::Instance;
use varco_core::policy::PolicyDecision;
use varco_core::requester::{BusinessIdentifier, Code};

use super::Refusal;
use super::exchange::Exchange;
use super::surroundings::Person;
use super::told::{Told, is_binary};
use super::view::View;
use crate::config::InheritLabels;
use crate::telemetry::stage::Stage;

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
#[derive(Debug, Clone, Default)]
pub(super) struct Judgement {
    /// Whether it may be released, or written.
    pub permitted: bool,
    /// The patients of this server that it is about, as `Patient/1`.
    pub patients: Vec<String>,
    /// The provisions that decided.
    pub consents: Vec<AuditConsent>,
    /// What decided where no provision did, in words.
    pub note: Option<&'static str>,
    /// What the site's policies decided.
    pub policies: Vec<Arc<PolicyDecision>>,
    /// Why policies keep the request from changing it, though it may be released.
    pub unchangeable: Option<&'static str>,
}

impl Judgement {
    /// Both: visible where both are.
    pub(super) fn and(mut self, other: Judgement) -> Judgement {
        let decides = self.permitted && !other.permitted;
        self.permitted &= other.permitted;
        self.note = if decides { other.note } else { self.note.or(other.note) };
        self.policies.extend(other.policies);
        self.unchangeable = self.unchangeable.or(other.unchangeable);
        for patient in other.patients {
            if !self.patients.contains(&patient) {
                self.patients.push(patient);
            }
        }
        for consent in other.consents {
            if !self.consents.contains(&consent) {
                self.consents.push(consent);
            }
        }
        self
    }
}

impl Exchange<'_> {
    /// The patients of this server whom a resource has to do with.
    pub(super) fn local_patients(&self, resource: Value<'_>) -> Vec<String> {
        let patients = self.gateway.compartment.of(resource, &self.gateway.reading.bases);
        let mut found: Vec<String> = Vec::new();
        for patient in patients.links.iter().filter_map(|link| local(&link.patient)) {
            if !found.contains(&patient) {
                found.push(patient);
            }
        }
        found
    }

    /// Judges a resource that would be released.
    pub async fn judge(&mut self, resource: Value<'_>) -> Result<Judgement, Refusal> {
        self.decide(resource, Action::Access, &[]).await
    }

    /// Judges a resource that would be released as if it had these labels as well.
    pub async fn judge_under(&mut self, resource: Value<'_>, labels: &[Code]) -> Result<Judgement, Refusal> {
        self.decide(resource, Action::Access, labels).await
    }

    /// Judges a resource that would be written; refuses where it may not be.
    pub async fn permit_write(&mut self, resource: Value<'_>) -> Result<(), Refusal> {
        let judgement = self.decide(resource, Action::Correct, &[]).await?;
        let permitted = judgement.permitted;
        self.account.note(judgement);
        if permitted { Ok(()) } else { Err(Refusal::Consent) }
    }

    /// Judges the one resource that was asked for, and notes what came of it; gives what of it may be shown.
    pub async fn release_or_refuse(
        &mut self,
        document: OwnedDocument,
        instance: &Instance,
    ) -> Result<OwnedDocument, Refusal> {
        let (judgement, shown) = match self.view(document.root(), &[]).await? {
            View::Whole(judgement) => (judgement, document),
            View::Part(judgement, part) | View::Trimmed(judgement, part) => (judgement, part),
            View::Hidden(judgement) => {
                self.withhold(judgement);
                return Err(Refusal::Absent);
            }
        };
        self.release([instance.resource_type.as_str(), "/", instance.id.as_str()].concat(), judgement);
        Ok(shown)
    }

    /// Notes that a resource is released.
    pub fn release(&mut self, reference: String, judgement: Judgement) {
        self.account.released.push(reference);
        self.account.note(judgement);
    }

    /// Notes that a resource is held back. Of a broad search only the first patients are named in the audit: it
    /// must not be possible to fill the trail by searching what one may not see.
    pub fn withhold(&mut self, judgement: Judgement) {
        self.account.withheld += 1;
        if self.account.withheld <= MOST_WITHHELD_NAMED {
            self.account.note(judgement);
        }
    }

    /// Judges a resource as if it had these labels as well.
    pub(super) async fn decide(
        &mut self,
        resource: Value<'_>,
        action: Action,
        labels: &[Code],
    ) -> Result<Judgement, Refusal> {
        let within = self.account.enter(Stage::Decide);
        let judged = self.decide_within(resource, action, labels).await;
        self.account.leave(&within);
        judged
    }

    async fn decide_within(
        &mut self,
        resource: Value<'_>,
        action: Action,
        labels: &[Code],
    ) -> Result<Judgement, Refusal> {
        if action == Action::Access
            && is_binary(resource)
            && let Some(mut judgement) = Box::pin(self.judge_content(resource, labels)).await?
        {
            let mut facts = ResourceFacts::of_resource(resource, &self.gateway.reading);
            facts.labels.extend(labels.iter().cloned());
            self.obey_about(action, &facts, judgement.patients.len(), &mut judgement);
            return Ok(judgement);
        }
        let Told { mut facts, patients } = self.told_by(resource, labels);
        self.decide_by(resource, action, &mut facts, &patients).await
    }

    /// Judges a resource by these facts, for these patients. Labels that it inherits are added.
    pub(super) async fn decide_by(
        &mut self,
        resource: Value<'_>,
        action: Action,
        facts: &mut ResourceFacts,
        patients: &Patients,
    ) -> Result<Judgement, Refusal> {
        let gateway = self.gateway;
        let mut judgement = Judgement { permitted: true, ..Judgement::default() };
        let known_as = self.known_as();
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
            if action == Action::Access && gateway.config.consent.inherit_labels == InheritLabels::All {
                Box::pin(self.inherit(resource, &patient, facts, &mut judgement)).await?;
            }
            judgement.patients.push(patient);
        }
        if let Some(own) = &self.confined_to {
            let is_theirs = |patient: &String| patient.strip_prefix("Patient/") == Some(own.as_str());
            if !judgement.patients.iter().any(is_theirs) {
                judgement.permitted = false;
                judgement.note = Some("the token's scopes cover the data of another patient alone");
            }
        }
        if let Some(closed) = self.account.glass.closed().filter(|_| !patients.is_nobodys()) {
            judgement.permitted = false;
            judgement.note = Some(closed);
        }
        if let Some(outside) = self.outside_of_what_was_signed(facts, action, patients.is_nobodys()) {
            judgement.permitted = false;
            judgement.note = Some(outside);
        }
        let about = std::mem::take(&mut judgement.patients);
        if self.requester.person.is_some() && !Box::pin(self.is_within_token(resource, &about)).await? {
            judgement.permitted = false;
            judgement.note = Some("the token is about another patient alone");
        }
        if action == Action::Access
            && !patients.is_nobodys()
            && gateway.fse.is_some()
            && let Some(hidden) = Box::pin(self.masked(resource, &about, facts)).await?
        {
            judgement.permitted = false;
            judgement.note = Some(hidden.text());
        }
        for patient in &about {
            let Some(keys) = self.consent_keys(patient, Some(resource)).await? else {
                judgement.permitted = false;
                judgement.note = Some("the patient's own record is not to be found");
                continue;
            };
            let mut kept = vec![gateway.store.consents_of(patient).map_err(Refusal::Store)?];
            for identifier in &keys.identifiers {
                kept.push(gateway.store.consents_of(identifier).map_err(Refusal::Store)?);
            }
            let consents: Vec<&CompiledConsent> =
                kept.iter().flat_map(|kept| kept.iter()).map(AsRef::as_ref).collect();
            let question = Question::new(&self.requester, action, self.account.received)
                .known_as(&known_as)
                .of_age(self.of_age(keys.person.as_deref()))
                .without_words()
                .about(facts);
            let decision = decide(&consents, &question, gateway.combining);
            judgement.permitted = judgement.permitted
                && (decision.allows(gateway.without_consent) || self.opens(&decision, facts, action));
            if decision.outcome == Outcome::NoConsent {
                judgement.note = judgement.note.or(Some("no consent applies"));
            } else {
                judgement.consents.extend(because(decision));
            }
        }
        judgement.patients = about;
        self.obey(action, resource, facts, patients, &mut judgement);
        if judgement.permitted {
            self.note_whose(facts, &judgement.patients);
        }
        Ok(judgement)
    }

    /// What the consents of a patient are kept under beside `Patient/1`: the identifiers of that Patient, where
    /// consents name patients by these. `None` where the Patient would have to be asked and is not there.
    pub async fn consent_keys(
        &mut self,
        patient: &str,
        at_hand: Option<Value<'_>>,
    ) -> Result<Option<ConsentKeys>, Refusal> {
        let mut keys = ConsentKeys::default();
        if !self.gateway.store.has_identified() && self.gateway.fse.is_none() {
            return Ok(Some(keys));
        }
        let Some(person) = Box::pin(self.whose(patient, at_hand)).await? else { return Ok(None) };
        keys.identifiers.extend(person.identifiers.iter().map(identifier_key));
        keys.person = Some(person);
        Ok(Some(keys))
    }

    /// The person behind `Patient/1`: the resource at hand where it is that Patient, else as the server has it.
    pub async fn whose(
        &mut self,
        patient: &str,
        at_hand: Option<Value<'_>>,
    ) -> Result<Option<Arc<Person>>, Refusal> {
        let itself = at_hand.filter(|own| {
            patient.split_once('/').is_some_and(|(_, id)| {
                own.get(name::RESOURCE_TYPE).is_some_and(|kind| kind.is_str("Patient"))
                    && own.get(name::ID).is_some_and(|own| own.is_str(id))
            })
        });
        match itself {
            Some(itself) => Ok(Some(Arc::new(self.person_of(itself)))),
            None => self.person(patient).await,
        }
    }

    /// What a consent is kept under: the Patient of this server that it names, else the first identifier with a
    /// system.
    pub fn key_of(&self, patient: &ConsentPatient) -> Option<String> {
        let reference = patient.reference.as_ref().map(LiteralReference::as_str);
        if let Some(reference) = reference.filter(|own| own.starts_with("Patient/")) {
            return Some(reference.to_owned());
        }
        let own = patient.identifiers.iter().find(|own| !own.system.is_empty())?;
        let system = self.gateway.aliases.canonical(&own.system);
        Some(identifier_key(&BusinessIdentifier::new(system, own.value.clone())))
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

/// What the consents of a patient are kept under beside `Patient/1`, and who the patient is, where that was asked.
#[derive(Default)]
pub(super) struct ConsentKeys {
    pub identifiers: Vec<String>,
    pub person: Option<Arc<Person>>,
}

/// `system|value`
fn identifier_key(identifier: &BusinessIdentifier) -> String {
    format!("{}|{}", identifier.system, identifier.value)
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
