//! The site's policies in a request's way: before anything is asked, and beside consent for each resource.
//!
//! Invariants: policies only restrict what consent permits; what they hide looks absent. A request is refused as a whole only
//! where that follows from the caller, the circumstances and the type, so that it tells nothing of any resource. Which
//! policy decided stands in the log and in the audit record, never in an answer.

use std::sync::Arc;

use fhir_models::document::Value;
use varco_core::access::Patients;
use varco_core::consent::{Action, ResourceFacts};
use varco_core::interaction::{Interaction, ValidateMode};
use varco_core::policy::{PolicyAction, PolicyDecision, PolicyRequest, PolicyResource, patient_count};
use varco_core::requester::Requester;

use super::account::Account;
use super::exchange::Exchange;
use super::judge::Judgement;
use super::tally::Tally;
use super::{Gateway, Refusal, includes};

/// Most decisions by policies that one record names.
const MOST_DECISIONS: usize = 20;

impl Gateway {
    /// The request as the policies of this moment see it.
    pub(super) fn as_policies_see(&self, requester: &Requester, account: &Account) -> Option<PolicyRequest> {
        let policies = self.policies.as_ref()?.current();
        Some(PolicyRequest::new(policies, requester, account.received, &self.reading.zone))
    }
}

impl Exchange<'_> {
    /// Refuses a request that policies refuse whatever resource it is about. What the sidecar itself keeps or does has
    /// no decision for each resource, and is decided about here by its type.
    pub(super) fn admit_by_policy(&mut self, interaction: &Interaction) -> Result<(), Refusal> {
        let Some(kind) = interaction.resource_type() else { return Ok(()) };
        let Some(policy) = &mut self.account.policy else { return Ok(()) };
        let action = asked(interaction);
        let own =
            includes::is_own(kind) || matches!(action, PolicyAction::Transform | PolicyAction::Translate);
        let decision = if own {
            let facts = ResourceFacts { resource_type: kind.as_str().to_owned(), ..ResourceFacts::default() };
            let site = &self.gateway.config.site.id;
            let of_type = PolicyResource { facts: &facts, patients: &[], patient_count: 0, site };
            Some(policy.decide(action, &of_type))
        } else {
            policy.refused(action, kind.as_str()).map(Arc::new)
        };
        let Some(decision) = decision else { return Ok(()) };
        self.account.note_policy(&decision);
        if decision.permitted { Ok(()) } else { Err(Refusal::Policy(why(&decision))) }
    }

    /// Takes the policies' decision about a resource into a judgement that permits so far.
    pub(super) fn obey(
        &mut self,
        action: Action,
        resource: Value<'_>,
        facts: &ResourceFacts,
        patients: &Patients,
        judgement: &mut Judgement,
    ) {
        let count = patient_count(&judgement.patients, patients);
        self.obey_about(action, facts, count, judgement);
        let Some(policy) = self.account.policy.as_mut().filter(|_| judgement.permitted) else { return };
        let Some(interaction) = &self.account.interaction else { return };
        let site = &self.gateway.config.site.id;
        let whole = PolicyResource { facts, patients: &judgement.patients, patient_count: count, site };
        let done = if action == Action::Correct { written(interaction) } else { released(interaction) };
        if let Some(decision) = policy.forbidden_inside(done, resource, &whole, &self.gateway.reading) {
            judgement.permitted = false;
            judgement.note = Some(why(&decision));
            judgement.policies.push(decision);
        }
    }

    /// The same for a Binary, whose patients are those of the documents that it is the content of.
    pub(super) fn obey_about(
        &mut self,
        action: Action,
        facts: &ResourceFacts,
        patient_count: usize,
        judgement: &mut Judgement,
    ) {
        let Some(policy) = self.account.policy.as_mut().filter(|_| judgement.permitted) else { return };
        let Some(interaction) = &self.account.interaction else { return };
        let site = &self.gateway.config.site.id;
        let resource = PolicyResource { facts, patients: &judgement.patients, patient_count, site };
        let decision = match action {
            Action::Correct => policy.decide(written(interaction), &resource),
            _ => policy.decide(released(interaction), &resource),
        };
        judgement.policies.push(decision.clone());
        if !decision.permitted {
            judgement.permitted = false;
            judgement.note = Some(why(&decision));
            return;
        }
        if let Some(change) = changed(interaction).filter(|_| action != Action::Correct) {
            let decision = policy.decide(change, &resource);
            if !decision.permitted {
                judgement.policies.push(decision.clone());
                judgement.unchangeable = Some(why(&decision));
            }
        }
    }
}

impl Account {
    /// Takes up a decision that policies made.
    pub(super) fn note_policy(&mut self, decision: &Arc<PolicyDecision>) {
        let spoke = !decision.by.is_empty() || !decision.failed.is_empty();
        if spoke && self.policies.len() < MOST_DECISIONS && !self.policies.contains(decision) {
            self.policies.push(decision.clone());
        }
    }

    /// The policies that decided, for the audit record: `forbid: no-prescriptions`.
    pub(super) fn deciding_policies(&self) -> Vec<String> {
        let mut named: Vec<String> = Vec::new();
        for decision in &self.policies {
            let failed = decision.failed.iter().map(|policy| format!("failed: {}", policy.name));
            let by = decision.by.iter().map(|policy| format!("{}: {}", policy.effect.name(), policy.name));
            failed.chain(by).for_each(|name| {
                if !named.contains(&name) {
                    named.push(name);
                }
            });
        }
        named
    }

    /// Tells the operator which policies decided, and why they are there.
    pub(super) fn tell_policies(&self, tally: &Tally) {
        let mut told: Vec<&str> = Vec::new();
        let decided = self.policies.iter().flat_map(|decision| &decision.by);
        let failed = self.policies.iter().flat_map(|decision| &decision.failed);
        let request_id = self.request_id.as_str();
        for policy in decided {
            if !told.contains(&policy.name.as_str()) {
                told.push(&policy.name);
                let reason = policy.reason.as_deref().unwrap_or_default();
                let effect = policy.effect.name();
                tracing::info!(request_id, policy = policy.name, effect, reason, "a policy decided");
                tally.policy(effect);
            }
        }
        for policy in failed {
            if !told.contains(&policy.name.as_str()) {
                told.push(&policy.name);
                tracing::error!(
                    request_id,
                    policy = policy.name,
                    "a policy can't be evaluated, and so denies"
                );
                tally.policy("failed");
            }
        }
    }
}

fn why(decision: &PolicyDecision) -> &'static str {
    match (decision.failed.is_empty(), decision.by.is_empty()) {
        (false, _) => "a policy of the site can't be evaluated",
        (true, false) => "a policy of the site forbids it",
        (true, true) => "no policy of the site permits it",
    }
}

/// What a request as a whole asks for.
fn asked(interaction: &Interaction) -> PolicyAction {
    match interaction {
        Interaction::Create(_) | Interaction::ConditionalCreate(_) => PolicyAction::Create,
        Interaction::Validate(_) => PolicyAction::Validate,
        Interaction::Transform(..) => PolicyAction::Transform,
        Interaction::Translate(..) => PolicyAction::Translate,
        other => changed(other).unwrap_or_else(|| released(other)),
    }
}

/// How a resource is released; one that a write meets on its way is read.
fn released(interaction: &Interaction) -> PolicyAction {
    match interaction {
        Interaction::Vread(..) => PolicyAction::Vread,
        Interaction::History(_) => PolicyAction::History,
        // What is put together from searches is found by them.
        Interaction::SearchType(_)
        | Interaction::Everything(_)
        | Interaction::PatientSummary(_)
        | Interaction::LastN(_)
        | Interaction::DocRef(_) => PolicyAction::Search,
        Interaction::Match(..) => PolicyAction::Match,
        _ => PolicyAction::Read,
    }
}

/// How a resource is written that the request brings along. `$validate` asks whether it could be.
fn written(interaction: &Interaction) -> PolicyAction {
    changed(interaction).unwrap_or(PolicyAction::Create)
}

/// What is done to the resource that stands there, if anything is.
fn changed(interaction: &Interaction) -> Option<PolicyAction> {
    match interaction {
        Interaction::Update(_) | Interaction::ConditionalUpdate(_) => Some(PolicyAction::Update),
        Interaction::Patch(_) | Interaction::ConditionalPatch(_) => Some(PolicyAction::Patch),
        Interaction::Delete(_) | Interaction::ConditionalDelete(_) => Some(PolicyAction::Delete),
        Interaction::Validate(asked) => match asked.mode {
            Some(ValidateMode::Update) => Some(PolicyAction::Update),
            Some(ValidateMode::Delete) => Some(PolicyAction::Delete),
            _ => None,
        },
        _ => None,
    }
}
