//! What resources tell of themselves, apart from what is decided by it: many are read one after the other, and then judged.

use fhir_models::document::{Value, name};
use varco_core::access::{Labels, Patients, resources};
use varco_core::consent::{Action, ResourceFacts};
use varco_core::requester::Code;

use super::Refusal;
use super::exchange::Exchange;
use super::judge::Judgement;
use crate::telemetry::stage::Stage;

/// What a resource is judged by, and whose it is.
pub(super) struct Told {
    pub facts: ResourceFacts,
    pub patients: Patients,
}

/// A Binary is judged by what it is the content of.
pub(super) fn is_binary(resource: Value<'_>) -> bool {
    resource.get(name::RESOURCE_TYPE).is_some_and(|own| own.is_str("Binary"))
}

impl Exchange<'_> {
    /// What a resource tells, as if it had these labels as well.
    pub(super) fn told_by(&self, resource: Value<'_>, labels: &[Code]) -> Told {
        let gateway = self.gateway;
        let all = resources(resource);
        let mut facts = ResourceFacts::of_first(&all, &gateway.reading);
        facts.add_labels(&Labels::of_all(&all));
        facts.labels.extend(labels.iter().cloned());
        let patients = gateway.compartment.of_all(&all, &gateway.reading.bases);
        Told { facts, patients }
    }

    /// What each of these tells, one after the other: the code that reads them and the code that judges them don't fit into a
    /// processor's nearest cache together.
    pub(super) fn told_by_each(&mut self, all: &[Value<'_>], labels: &[Code]) -> Vec<Told> {
        let within = self.account.enter(Stage::Decide);
        let told = all.iter().map(|resource| self.told_by(*resource, labels)).collect();
        self.account.leave(&within);
        told
    }

    /// Judges a resource that would be released, by what it tells ([`Exchange::told_by_each`]).
    pub(super) async fn judge_told(
        &mut self,
        resource: Value<'_>,
        labels: &[Code],
        told: Told,
    ) -> Result<Judgement, Refusal> {
        if is_binary(resource) {
            return Box::pin(self.judge_under(resource, labels)).await;
        }
        let Told { mut facts, patients } = told;
        let within = self.account.enter(Stage::Decide);
        let judged = self.decide_by(resource, Action::Access, &mut facts, &patients).await;
        self.account.leave(&within);
        judged
    }
}
