//! What stands around a resource at the hospital's server: the Patient whom it is about, and the patient's other
//! resources, whose labels or prescription numbers count for it.
//!
//! Invariants: nothing is fetched that no setting or kept consent asks for, and nothing twice in a request. What
//! could not be gathered whole is marked so, and restricts.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_models::document::{OwnedDocument, Value, name};
use http::StatusCode;
use varco_core::access::{Bond, Holder, Holders, LabelScene};
use varco_core::consent::LiteralReference;
use varco_core::requester::BusinessIdentifier;

use super::Refusal;
use super::exchange::Exchange;
use crate::upstream::UpstreamError;

/// Most resources of one type that are gathered for a patient.
const MOST_RECORDS: usize = 5_000;

/// What one request has gathered.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    people: HashMap<String, Arc<Person>>,
    records: HashMap<(String, &'static str), Arc<Records>>,
    /// `[type]/[id]` of what is referred to, and whether the caller may see it.
    pub targets: HashMap<String, bool>,
}

impl Surroundings {
    /// Takes up a Patient, as `Patient/1`, who is not at the server yet.
    pub fn know(&mut self, patient: String, person: Person) {
        self.people.insert(patient, Arc::new(person));
    }
}

/// A Patient, as far as decisions ask.
#[derive(Debug, Default)]
pub(super) struct Person {
    /// Business identifiers in the deployment's canonical systems.
    pub identifiers: Vec<BusinessIdentifier>,
    /// `birthDate`.
    pub born: Option<String>,
}

/// A patient's resources of one type.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Searchsets.
    pages: Vec<OwnedDocument>,
    /// True where these are all.
    pub complete: bool,
}

impl Records {
    /// Each of them.
    pub fn resources(&self) -> impl Iterator<Item = Value<'_>> {
        let entries = self.pages.iter().flat_map(|page| page.root().path(&[name::ENTRY]));
        entries.filter_map(|entry| entry.get(name::RESOURCE))
    }
}

/// The holders among gathered resources.
pub(super) struct Gathered {
    pub scene: LabelScene,
    pub complete: bool,
}

impl Holders for Gathered {
    fn holders(&self, held: &LiteralReference, bond: Bond) -> Option<Vec<Holder>> {
        if self.complete { self.scene.holders(held, bond) } else { None }
    }

    fn resource(&self, reference: &LiteralReference) -> Option<Holder> {
        self.scene.resource(reference)
    }
}

impl Exchange<'_> {
    /// The Patient behind `Patient/1`; `None` where the server has none.
    pub async fn person(&mut self, patient: &str) -> Result<Option<Arc<Person>>, Refusal> {
        if let Some(person) = self.account.surroundings.people.get(patient) {
            return Ok(Some(person.clone()));
        }
        let answer = self.look_up(&format!("/{patient}")).await?;
        let document = match answer.status {
            StatusCode::OK => self.resource_of(answer.body, "Patient").await?,
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            other => return Err(Refusal::Upstream(UpstreamError::Status(other.as_u16()))),
        };
        let person = Arc::new(self.person_of(document.root()));
        self.account.surroundings.people.insert(patient.to_owned(), person.clone());
        Ok(Some(person))
    }

    /// What a Patient resource says.
    pub fn person_of(&self, patient: Value<'_>) -> Person {
        let identifiers = patient.path(&[name::IDENTIFIER]).into_iter().filter_map(|own| {
            let system = own.str_of(name::SYSTEM)?;
            Some(BusinessIdentifier::new(self.gateway.aliases.canonical(&system), own.str_of(name::VALUE)?))
        });
        Person {
            identifiers: identifiers.collect(),
            born: patient.str_of(name::BIRTH_DATE).map(std::borrow::Cow::into_owned),
        }
    }

    /// The patient's resources of a type.
    pub async fn records(&mut self, patient: &str, kind: &'static str) -> Result<Arc<Records>, Refusal> {
        let key = (patient.to_owned(), kind);
        if let Some(records) = self.account.surroundings.records.get(&key) {
            return Ok(records.clone());
        }
        let records = Arc::new(self.gather_records(patient, kind).await?);
        self.account.surroundings.records.insert(key, records.clone());
        Ok(records)
    }

    async fn gather_records(&mut self, patient: &str, kind: &'static str) -> Result<Records, Refusal> {
        let mut records = Records::default();
        let mut count = 0_usize;
        let mut room = self.gateway.config.limits.answer_bytes;
        let mut answer = self.look_up(&format!("/{kind}?patient={patient}&_count=200")).await?;
        loop {
            match answer.status {
                StatusCode::OK => {}
                // A server that does not have the type has no resources of it.
                StatusCode::NOT_FOUND if records.pages.is_empty() => {
                    records.complete = true;
                    return Ok(records);
                }
                StatusCode::BAD_REQUEST => return Ok(records),
                other => return Err(Refusal::Upstream(UpstreamError::Status(other.as_u16()))),
            }
            let Some(left) = room.checked_sub(answer.body.len()) else { return Ok(records) };
            room = left;
            let page = self.resource_of(answer.body, "Bundle").await?;
            count += page.root().path(&[name::ENTRY]).len();
            let next = page.root().path(&[name::LINK]).into_iter().find_map(|link| {
                let next = link.get(name::RELATION).is_some_and(|relation| relation.is_str("next"));
                if next { link.str_of(name::URL) } else { None }.map(std::borrow::Cow::into_owned)
            });
            records.pages.push(page);
            match next {
                None => {
                    records.complete = true;
                    return Ok(records);
                }
                Some(_) if count > MOST_RECORDS => return Ok(records),
                Some(link) => answer = self.follow(&link).await?,
            }
        }
    }

    /// The patient's resources of these types as holders of others.
    pub async fn gathered(&mut self, patient: &str, kinds: &[&'static str]) -> Result<Gathered, Refusal> {
        let mut gathered = Gathered { scene: LabelScene::new(&self.gateway.reading.bases), complete: true };
        for &kind in kinds {
            let records = self.records(patient, kind).await?;
            gathered.complete &= records.complete;
            records.resources().for_each(|resource| gathered.scene.add(resource));
        }
        Ok(gathered)
    }
}
