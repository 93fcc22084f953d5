//! The patient whom a token is about (IHE IUA and FSE 2.0, claim `person_id`): a request about anybody else is answered as
//! if that person were not here.
//!
//! Invariant: what has to do with another patient as well is hidden too. Identifiers are compared in their canonical
//! systems, letter by letter.

use fhir_models::document::{Value, name};
use varco_core::consent::fse::FseRequest;
use varco_core::consent::{Action, CompiledConsent, ResourceFacts};
use varco_core::requester::BusinessIdentifier;

use super::Refusal;
use super::exchange::Exchange;
use super::surroundings::Person;

impl Exchange<'_> {
    /// Whether a resource of these patients, each as `Patient/1`, is within what the token is about.
    pub async fn is_within_token(
        &mut self,
        resource: Value<'_>,
        patients: &[String],
    ) -> Result<bool, Refusal> {
        let Some(bound) = self.bound() else { return Ok(true) };
        let is_patient = resource.get(name::RESOURCE_TYPE).is_some_and(|kind| kind.is_str("Patient"));
        if is_patient && !self.person_of(resource).identifiers.contains(&bound) {
            return Ok(false);
        }
        for patient in patients {
            if !is(self.whose(patient, Some(resource)).await?.as_deref(), &bound) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether records kept under a patient's key, `Patient/1` or `system|value`, are within what the token is about; those of
    /// nobody are for an emergency that was not admitted.
    pub async fn may_ask_about(&mut self, key: &str) -> Result<bool, Refusal> {
        if self.account.glass.closed().is_some() {
            return Ok(false);
        }
        let Some(bound) = self.bound() else { return Ok(true) };
        match key.rsplit_once('|') {
            Some((system, value)) => Ok(bound == BusinessIdentifier::new(system, value)),
            None => Ok(is(self.whose(key, None).await?.as_deref(), &bound)),
        }
    }

    /// The same of a consent that is kept here.
    pub async fn may_ask_about_consent(&mut self, body: &[u8]) -> Result<bool, Refusal> {
        if self.bound().is_none() && self.account.glass.closed().is_none() {
            return Ok(true);
        }
        let document = fhir_models::document::OwnedDocument::parse_json(body, &Default::default());
        let compiled =
            document.ok().and_then(|own| CompiledConsent::compile(own.root(), &self.gateway.reading).ok());
        match compiled.and_then(|own| self.key_of(own.patient())) {
            Some(key) => self.may_ask_about(&key).await,
            None => Ok(false),
        }
    }

    /// Why the signed claims of FSE 2.0 don't leave a resource to be seen or written, where they don't.
    pub fn outside_of_what_was_signed(
        &self,
        facts: &ResourceFacts,
        action: Action,
        nobodys: bool,
    ) -> Option<&'static str> {
        let signed = self.requester.fse.as_ref()?;
        if !signed.names(facts) {
            return Some("the token names documents of another type (resource_hl7_type)");
        }
        let systems = self.gateway.config.fse.systems();
        let closed = action == Action::Access
            && !nobodys
            && !signed.may_consult(&FseRequest::of(&self.requester, &systems));
        closed.then_some("the token says that the patient has not consented (patient_consent)")
    }

    /// The patient whom the token is about, in the canonical system.
    fn bound(&self) -> Option<BusinessIdentifier> {
        let person = self.requester.person.as_ref()?;
        Some(BusinessIdentifier::new(self.gateway.aliases.canonical(&person.system), person.value.clone()))
    }
}

fn is(person: Option<&Person>, bound: &BusinessIdentifier) -> bool {
    person.is_some_and(|person| person.identifiers.contains(bound))
}
