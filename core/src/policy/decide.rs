//! One request's decisions.
//!
//! Invariants: a forbid wins over every permit; a policy that can't be evaluated denies; a request is decided by one set of
//! policies from its beginning to its end. Resources that agree in all that the policies mention are decided about once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Context, Decision, Entities, Entity, EntityId, EntityUid, PolicySet, Request,
    RestrictedExpression,
};
use fhir_models::document::Value;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::compile::Words;
use super::mention::{Fact, Mentions};
use super::resource::{FactValue, attributes, identifier, moment, set, token, with_broader};
use super::{PolicyAction, PolicyEffect, PolicyResource, SitePolicies, SitePolicy, WithoutPolicy};
use crate::access::{Labels, resources};
use crate::consent::{ACT_REASON, Reading, ResourceFacts};
use crate::requester::Requester;

/// The purpose that makes an emergency (v3-ActReason).
const EMERGENCY: &str = "ETREAT";
/// Most decisions that a request remembers.
const MOST_REMEMBERED: usize = 10_000;

/// A decision, and the policies that made it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyDecision {
    /// Whether policies let it pass.
    pub permitted: bool,
    /// The policies that decided, by name: the forbids that apply, else the permits. Empty where none speaks.
    pub by: Vec<Arc<SitePolicy>>,
    /// The policies that could not be evaluated, by name. Then nothing is permitted.
    pub failed: Vec<Arc<SitePolicy>>,
}

/// A request, as policies see it.
#[derive(Debug, Clone)]
pub struct PolicyRequest {
    policies: Arc<SitePolicies>,
    /// `None` where the caller can't be put in the policy language: then nothing is permitted.
    asking: Option<Asking>,
    decided: HashMap<(PolicyAction, Vec<FactValue>), Arc<PolicyDecision>>,
}

#[derive(Debug, Clone)]
struct Asking {
    caller: EntityUid,
    context: Context,
    /// The actions and the caller.
    entities: Entities,
}

impl PolicyRequest {
    /// A request by this caller; `at` is when it arrived, `zone` that of the site's clocks.
    pub fn new(
        policies: Arc<SitePolicies>,
        requester: &Requester,
        at: Timestamp,
        zone: &TimeZone,
    ) -> PolicyRequest {
        let asking = Asking::new(&policies.words, requester, at, zone);
        PolicyRequest { policies, asking, decided: HashMap::new() }
    }

    /// Decides about one resource.
    pub fn decide(&mut self, action: PolicyAction, resource: &PolicyResource<'_>) -> Arc<PolicyDecision> {
        let values = resource.values(self.policies.mentioned);
        let key = (action, values);
        if let Some(decision) = self.decided.get(&key) {
            return decision.clone();
        }
        let response = self.evaluate(&self.policies.set, action, self.policies.mentioned, &key.1);
        let decision = Arc::new(match response {
            Some(found) if found.is_silent() => PolicyDecision {
                permitted: self.policies.without == WithoutPolicy::Permit,
                ..PolicyDecision::default()
            },
            Some(found) => found,
            None => PolicyDecision::default(),
        });
        if self.decided.len() < MOST_REMEMBERED {
            self.decided.insert(key, decision.clone());
        }
        decision
    }

    /// The decision that forbids something inside of a resource, such as a contained one or a Bundle's entry: what may not
    /// be seen by itself is not seen in another either. Inside, silence forbids nothing: a permit is about the whole.
    pub fn forbidden_inside(
        &mut self,
        action: PolicyAction,
        resource: Value<'_>,
        whole: &PolicyResource<'_>,
        reading: &Reading,
    ) -> Option<Arc<PolicyDecision>> {
        resources(resource).iter().skip(1).find_map(|own| {
            let mut facts = ResourceFacts::of_resource(own.value, reading);
            facts.add_labels(&Labels::of(own.value));
            let decision = self.decide(action, &PolicyResource { facts: &facts, ..*whole });
            let spoke = !decision.by.is_empty() || !decision.failed.is_empty();
            (!decision.permitted && spoke).then_some(decision)
        })
    }

    /// The decision that refuses an action on a type whatever the resource is; `None` where that depends on more than the
    /// caller, the circumstances and the type. It tells nothing of any resource.
    pub fn refused(&self, action: PolicyAction, resource_type: &str) -> Option<PolicyDecision> {
        let of_type = Mentions::default().with(Fact::Type);
        let value = FactValue::Text(resource_type.to_owned());
        let Some(found) = self.evaluate(&self.policies.early, action, of_type, &[value]) else {
            return Some(PolicyDecision::default());
        };
        let closed = self.policies.without == WithoutPolicy::Deny && !self.policies.open.contains(&action);
        (!found.permitted && (!found.is_silent() || closed)).then_some(found)
    }

    /// What a set of policies says; `None` where the question can't be asked. Silence is not permission.
    fn evaluate(
        &self,
        set: &PolicySet,
        action: PolicyAction,
        mentioned: Mentions,
        values: &[FactValue],
    ) -> Option<PolicyDecision> {
        let (policies, asking) = (&*self.policies, self.asking.as_ref()?);
        let id = match values.first() {
            Some(FactValue::Text(id)) if mentioned.has(Fact::Itself) => id.as_str(),
            _ => "",
        };
        let uid = EntityUid::from_type_name_and_id(policies.words.resource.clone(), EntityId::new(id));
        let resource = Entity::new(uid.clone(), attributes(mentioned, values), HashSet::new()).ok()?;
        let entities = asking.entities.clone().upsert_entities([resource], None).ok()?;
        let action = policies.words.action(action.name());
        let request = Request::new(asking.caller.clone(), action, uid, asking.context.clone(), None).ok()?;
        let response = policies.authorizer.is_authorized(&request, set, &entities);
        let named = |id| policies.known.get(id).cloned();
        let mut by: Vec<_> = response.diagnostics().reason().filter_map(named).collect();
        let mut failed: Vec<_> = response
            .diagnostics()
            .errors()
            .filter_map(|AuthorizationError::PolicyEvaluationError(error)| named(error.policy_id()))
            .collect();
        by.sort_by(|a, b| a.name.cmp(&b.name));
        failed.sort_by(|a, b| a.name.cmp(&b.name));
        let broken = response.diagnostics().errors().next().is_some();
        if broken {
            by.retain(|policy| policy.effect == PolicyEffect::Forbid);
        }
        Some(PolicyDecision { permitted: response.decision() == Decision::Allow && !broken, by, failed })
    }
}

impl PolicyDecision {
    fn is_silent(&self) -> bool {
        self.by.is_empty() && self.failed.is_empty() && !self.permitted
    }
}

impl Asking {
    fn new(words: &Words, requester: &Requester, at: Timestamp, zone: &TimeZone) -> Option<Asking> {
        let entity = |kind: &cedar_policy::EntityTypeName, id: &str| {
            EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
        };
        let roles: Vec<String> = requester.roles.iter().map(token).collect();
        let organizations: Vec<String> = requester.organizations.iter().map(identifier).collect();
        let parents = roles.iter().map(|role| entity(&words.role, role));
        let parents =
            parents.chain(organizations.iter().map(|own| entity(&words.organization, own))).collect();
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let mut own = HashMap::from([
            ("client".to_owned(), text(&requester.client_id)),
            ("roles".to_owned(), set(roles)),
            ("organizations".to_owned(), set(organizations)),
        ]);
        if let Some(person) = &requester.subject {
            own.insert("person".to_owned(), text(&identifier(person)));
        }
        if let Some(patient) = &requester.patient {
            own.insert("patient".to_owned(), text(patient.as_str()));
        }
        let caller = entity(&words.caller, &requester.client_id);
        let itself = Entity::new(caller.clone(), own, parents).ok()?;
        let purposes = with_broader(&requester.purposes);
        let emergency = purposes.contains(&format!("{ACT_REASON}|{EMERGENCY}"));
        let local = at.to_zoned(zone.clone());
        let number = |number: i8| RestrictedExpression::new_long(i64::from(number));
        let context = Context::from_pairs([
            ("purposes".to_owned(), set(purposes)),
            ("emergency".to_owned(), RestrictedExpression::new_bool(emergency)),
            ("scopes".to_owned(), set(requester.scopes.iter().cloned())),
            ("now".to_owned(), RestrictedExpression::new_datetime(moment(at))),
            ("hour".to_owned(), number(local.hour())),
            ("weekday".to_owned(), number(local.weekday().to_monday_one_offset())),
        ])
        .ok()?;
        let entities = words.actions.clone().add_entities([itself], None).ok()?;
        Some(Asking { caller, context, entities })
    }
}
