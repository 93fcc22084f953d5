//! Emergencies (`[break_glass]`): admitted once a request, by what the token says; what they opened goes to the review queue.
//!
//! Invariants: no header and no query decides. What is not admitted is hidden as anything hidden is. What FSE 2.0 masks stays
//! masked, whether its rules are switched on or not, and only reading is opened.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use metrics::counter;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use varco_core::audit::AuditEmergency;
use varco_core::consent::fse::{Chain, FseDocument};
use varco_core::consent::{Action, Decision, NotAdmitted, ResourceFacts, is_emergency};
use varco_core::requester::{BusinessIdentifier, Code, Requester};

use super::Gateway;
use super::account::Account;
use super::exchange::Exchange;
use crate::store::ReviewUse;

/// What an emergency came to in one request.
#[derive(Debug, Default)]
pub(super) struct Glass {
    /// None: the request is no emergency, or the deployment has no rules for them.
    admitted: Option<Result<(), NotAdmitted>>,
    /// What was gone over, in the words of the configuration.
    overridden: BTreeSet<&'static str>,
    /// Whose data the resources are that were judged fit to be seen.
    whose: HashMap<String, Vec<String>>,
}

impl Glass {
    /// The same emergency in another entry of a batch.
    pub fn anew(&self) -> Glass {
        Glass { admitted: self.admitted, ..Glass::default() }
    }

    fn is_broken(&self) -> bool {
        self.admitted == Some(Ok(()))
    }

    /// Why nothing of any patient is given, where that is so.
    pub fn closed(&self) -> Option<&'static str> {
        match self.admitted {
            Some(Err(cause)) => Some(cause.text()),
            _ => None,
        }
    }

    /// What an audit record says of it.
    pub fn told(&self, requester: &Requester) -> Option<AuditEmergency> {
        self.is_broken().then(|| AuditEmergency {
            reason: requester.reason.clone(),
            overridden: self.overridden.iter().map(|own| (*own).to_owned()).collect(),
        })
    }
}

impl Gateway {
    /// Decides once whether a request that is an emergency is admitted. `now` is in seconds since 1970.
    pub(super) fn admit(&self, account: &mut Account, requester: &Requester, now: u64) {
        let Some(rules) = self.break_glass.as_ref().filter(|_| is_emergency(requester)) else { return };
        let admitted = rules.admit(requester, now);
        let (request_id, client) = (account.request_id.as_str(), requester.client_id.as_str());
        let result = match admitted {
            Ok(()) => {
                tracing::warn!(request_id, client, "the glass is broken: the use waits for its review");
                "admitted"
            }
            Err(cause) => {
                tracing::warn!(request_id, client, cause = cause.text(), "break-glass refused");
                cause.code()
            }
        };
        counter!("varco_break_glass_total", "result" => result).increment(1);
        account.glass.admitted = Some(admitted);
    }

    /// The uses that go to the review queue: one for each patient.
    pub(super) fn uses(&self, account: &Account) -> Vec<ReviewUse> {
        let glass = &account.glass;
        let (true, true, Some(requester)) = (glass.is_broken(), account.owed, &account.requester) else {
            return Vec::new();
        };
        let mut seen: BTreeMap<&str, Vec<String>> =
            account.patients.iter().map(|patient| (patient.as_str(), Vec::new())).collect();
        for reference in &account.released {
            // What stands for several patients, or for others than were judged, is seen of each.
            let whose = glass.whose.get(reference);
            for (patient, list) in &mut seen {
                if whose.is_none_or(|own| own.iter().any(|own| own == patient)) {
                    list.push(reference.clone());
                }
            }
        }
        let who = who(requester);
        let one = |(patient, seen): (&str, Vec<String>)| ReviewUse {
            id: Uuid::now_v7().to_string(),
            key: key(&who, patient, requester),
            at: format!("{:.3}", account.received),
            patient: patient.to_owned(),
            who: who.clone(),
            reason: requester.reason.clone(),
            withheld: account.withheld as i64,
            overridden: glass.overridden.iter().map(|own| (*own).to_owned()).collect(),
            seen,
        };
        seen.into_iter().map(one).collect()
    }
}

impl Exchange<'_> {
    /// Whether the emergency opens a resource that a decision about it doesn't allow.
    pub fn opens(&mut self, decision: &Decision, facts: &ResourceFacts, action: Action) -> bool {
        let gateway = self.gateway;
        let rules = gateway.break_glass.as_ref().filter(|_| self.account.glass.is_broken());
        let Some(rules) = rules.filter(|_| action == Action::Access) else { return false };
        let Some(opened) = rules.opens(decision, gateway.without_consent) else { return false };
        if FseDocument::of(facts, Chain::Alone, &gateway.config.fse.systems()).is_masked_itself() {
            return false;
        }
        self.account.glass.overridden.insert(opened.code());
        true
    }

    /// Notes whose data a resource is that is judged fit to be seen.
    pub fn note_whose(&mut self, facts: &ResourceFacts, patients: &[String]) {
        if let Some(reference) = facts.reference.as_ref().filter(|_| self.account.glass.is_broken()) {
            self.account.glass.whose.insert(reference.as_str().to_owned(), patients.to_vec());
        }
    }
}

/// Who asks, for those who review.
fn who(requester: &Requester) -> String {
    let identifier = |own: &BusinessIdentifier| token(&own.system, &own.value);
    let code = |own: &Code| token(&own.system, &own.code);
    json!({
        "client": requester.client_id,
        "person": requester.subject.as_ref().map(identifier),
        "name": requester.subject_name,
        "roles": requester.roles.iter().map(code).collect::<Vec<_>>(),
        "organizations": requester.organizations.iter().map(identifier).collect::<Vec<_>>(),
        "purposes": requester.purposes.iter().map(code).collect::<Vec<_>>(),
    })
    .to_string()
}

fn token(system: &str, value: &str) -> String {
    if system.is_empty() { value.to_owned() } else { format!("{system}|{value}") }
}

fn key(who: &str, patient: &str, requester: &Requester) -> [u8; 32] {
    let parts = json!([who, patient, requester.reason]);
    Sha256::digest(parts.to_string()).into()
}
