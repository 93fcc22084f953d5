//! What counts for a resource beside its own text: the labels of whoever holds it, and the masking rules of FSE 2.0.
//!
//! A Binary is as visible as the resources that it is the content of: each of them is judged too. Other resources
//! inherit labels where `consent.inherit_labels` says so.

use fhir_models::document::{OwnedDocument, Value, name};
use http::StatusCode;
use varco_core::access::{Bond, Labels, inherited};
use varco_core::consent::fse::{self, Chain, Chains, FseDocument, FseRequest, FseSystems};
use varco_core::consent::{Action, ComingOfAge, LiteralReference, ResourceFacts};
use varco_core::interaction::{Id, ResourceType};
use varco_core::requester::Code;

use super::Refusal;
use super::exchange::Exchange;
use super::judge::Judgement;
use super::surroundings::Person;
use crate::upstream::UpstreamError;

/// Types that carry prescription numbers.
const CHAINED: &[&str] =
    &["DocumentReference", "MedicationRequest", "MedicationDispense", "ServiceRequest", "DiagnosticReport"];
/// Types that a Binary is the content of.
const CONTENT_HOLDERS: &[&str] = &["DocumentReference", "DiagnosticReport"];
/// The age at which a patient consents for herself (FSE 2.0).
const OF_AGE: u8 = 18;

impl Exchange<'_> {
    /// Judges a Binary by the resources that it is the content of, as if each had its labels too: it is visible
    /// where all of them are. `None` for one that nobody is known to refer to.
    pub async fn judge_content(
        &mut self,
        resource: Value<'_>,
        labels: &[Code],
    ) -> Result<Option<Judgement>, Refusal> {
        let refused = |note| Judgement { note: Some(note), ..Judgement::default() };
        let own: Vec<Code> = Labels::of(resource).codes().iter().chain(labels).cloned().collect();
        let mut judgement: Option<Judgement> = None;
        let patients = match self.context_of(resource).await? {
            Context::Patient => self.local_patients(resource),
            Context::Unknown => return Ok(Some(refused("its security context is not to be found"))),
            Context::Resource(context) => {
                let held = Box::pin(self.decide(context.root(), Action::Access, &own)).await?;
                let patients = held.patients.clone();
                judgement = Some(held);
                patients
            }
        };
        for patient in patients {
            let gathered = self.gathered(&patient, CONTENT_HOLDERS).await?;
            if !gathered.complete {
                return Ok(Some(refused(
                    "not all documents that it may be the content of could be looked up",
                )));
            }
            let found = inherited(resource, &Labels::default(), &self.gateway.reading.bases, &gathered);
            for &kind in CONTENT_HOLDERS {
                let records = self.records(&patient, kind).await?;
                for holder in records.resources().filter(|own| names(*own, &found.from)) {
                    let held = Box::pin(self.decide(holder, Action::Access, &own)).await?;
                    judgement = Some(match judgement {
                        None => held,
                        Some(before) => before.and(held),
                    });
                }
            }
        }
        Ok(judgement)
    }

    /// Asks what a hidden Binary would have asked, so that one that is not there takes as long.
    pub async fn miss_content(&mut self, resource_type: &ResourceType, id: &Id) -> Result<(), Refusal> {
        if resource_type.as_str() == "Binary" {
            self.gathered(&format!("Patient/{}", id.as_str()), CONTENT_HOLDERS).await?;
        }
        Ok(())
    }

    async fn context_of(&mut self, binary: Value<'_>) -> Result<Context, Refusal> {
        let text = binary.get_key("securityContext").and_then(|own| own.str_of(name::REFERENCE));
        let Some(text) = text else { return Ok(Context::Patient) };
        let local = LiteralReference::parse_at(&text, &self.gateway.reading.bases);
        let local = local.as_ref().map(LiteralReference::as_str).and_then(|own| own.split_once('/'));
        let Some((kind, id)) = local else { return Ok(Context::Unknown) };
        let known = self.gateway.schema.resource_type(kind).is_some() && Id::parse(id).is_some();
        match kind {
            "Patient" => return Ok(Context::Patient),
            "Binary" => return Ok(Context::Unknown),
            _ if !known => return Ok(Context::Unknown),
            _ => {}
        }
        let answer = self.look_up(&format!("/{kind}/{id}")).await?;
        match answer.status {
            StatusCode::OK => Ok(Context::Resource(self.resource_of(answer.body, kind).await?)),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Context::Unknown),
            other => Err(Refusal::Upstream(UpstreamError::Status(other.as_u16()))),
        }
    }

    /// Adds the labels that a resource has from those that hold it: for deployments that want them.
    pub async fn inherit(
        &mut self,
        resource: Value<'_>,
        patient: &str,
        facts: &mut ResourceFacts,
        judgement: &mut Judgement,
    ) -> Result<(), Refusal> {
        let mut kinds: Vec<&'static str> = Vec::new();
        for bond in Bond::ALL {
            for &kind in bond.holders_of(&facts.resource_type) {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
        let gathered = self.gathered(patient, &kinds).await?;
        let found = inherited(resource, &Labels::default(), &self.gateway.reading.bases, &gathered);
        facts.add_labels(&found.labels);
        if !found.unknown.is_empty() {
            judgement.permitted = false;
            judgement.note = Some("not all resources that may hold it, and hide it, could be looked up");
        }
        Ok(())
    }

    /// The rule of FSE 2.0 that hides a resource of these patients from the caller, where the rules hold.
    pub async fn masked(
        &mut self,
        resource: Value<'_>,
        patients: &[String],
        facts: &ResourceFacts,
    ) -> Result<Option<fse::Hidden>, Refusal> {
        let gateway = self.gateway;
        let Some(systems) = &gateway.fse else { return Ok(None) };
        let mut chain = Chains::new().chain_of(resource, false, systems);
        if chain == Chain::Unknown {
            let mut complete = !patients.is_empty();
            let mut chains = Chains::new();
            for patient in patients {
                for &kind in CHAINED {
                    let records = self.records(patient, kind).await?;
                    complete &= records.complete;
                    records
                        .resources()
                        .for_each(|own| chains.add(own, self.is_masked(own, systems), systems));
                }
            }
            chain = chains.chain_of(resource, complete, systems);
        }
        let document = FseDocument::of(facts, chain, systems);
        Ok(fse::hidden(&FseRequest::of(&self.requester, systems), &document))
    }

    fn is_masked(&self, resource: Value<'_>, systems: &FseSystems) -> bool {
        let mut facts = ResourceFacts::of_resource(resource, &self.gateway.reading);
        facts.add_labels(&Labels::of(resource));
        FseDocument::of(&facts, Chain::Alone, systems).is_masked_itself()
    }

    /// When the patient comes of age, where that ends what was permitted before.
    pub fn of_age(&self, person: Option<&Person>) -> Option<ComingOfAge> {
        self.gateway.fse.as_ref()?;
        let born = person.and_then(|person| person.born.as_deref());
        Some(born.map_or(ComingOfAge::UNKNOWN, |born| {
            ComingOfAge::of_birth_date(born, OF_AGE, &self.gateway.reading.zone)
        }))
    }
}

/// What a Binary names as its security context.
enum Context {
    /// A Patient, or nothing.
    Patient,
    /// Another resource.
    Resource(OwnedDocument),
    /// Something that is not to be found.
    Unknown,
}

fn names(resource: Value<'_>, references: &[LiteralReference]) -> bool {
    let (Some(kind), Some(id)) = (resource.resource_type(), resource.str_of(name::ID)) else { return false };
    references.iter().any(|own| own.as_str().split_once('/') == Some((&kind, &id)))
}
