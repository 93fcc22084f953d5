//! Carrying out steps: one request in each world that a step is for, its checks, and what later steps need of it.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use fhir_models::document::{Limits, OwnedDocument, Value};

use super::check::{Unnamed, check};
use super::client::{HttpClient, Token};
use super::evidence::{Phase, ResponseEvidence, StepEvidence};
use super::model::{NOBODY, RequestPlan, Step, TwinRules, TwinTest, World};
use super::path::Place;
use super::prepare::{Prepare, set_all};
use super::run::{DEFAULT_ACTOR, milliseconds};
use super::save::saved;
use super::twin::same_in_twin;
use super::variables::{TemplateFault, Variables};

/// The variable that holds the link to the next page. No suite can name it: a name begins with a letter.
const NEXT: &str = "-next";

/// What steps leave for later steps, in one world.
#[derive(Clone, Default)]
pub(super) struct Memory {
    variables: Variables,
    responses: HashMap<String, ResponseEvidence>,
}

/// A server under test, and the tokens for it.
pub(super) struct Site<'a> {
    pub(super) world: World,
    pub(super) prepare: Prepare<'a>,
    pub(super) tokens: BTreeMap<String, Token>,
}

impl Site<'_> {
    pub(super) fn token(&self, actor: Option<&str>) -> Option<(String, Token)> {
        let name = actor.unwrap_or(DEFAULT_ACTOR);
        if name == NOBODY {
            return None;
        }
        self.tokens.get(name).map(|token| (name.to_owned(), token.clone()))
    }
}

/// The worlds of a run, the first before its twin, and what has been kept from each.
#[derive(Clone)]
pub(super) struct Worlds<'r> {
    sites: &'r [Site<'r>],
    client: &'r HttpClient,
    rules: &'r TwinRules,
    memories: Vec<Memory>,
}

/// How the steps of a part of a test are carried out.
#[derive(Clone, Copy)]
pub(super) struct Part<'r> {
    pub(super) phase: Phase,
    /// The requirements that a step decides that names none.
    pub(super) verifies: &'r [String],
    /// Where given, the worlds' answers are compared.
    pub(super) twin: Option<&'r TwinTest>,
}

impl<'r> Worlds<'r> {
    pub(super) fn new(sites: &'r [Site<'r>], client: &'r HttpClient, rules: &'r TwinRules) -> Worlds<'r> {
        let memory = |site: &Site<'_>| {
            let mut memory = Memory::default();
            memory.variables.set("base", site.prepare.base.clone());
            memory
        };
        Worlds { sites, client, rules, memories: sites.iter().map(memory).collect() }
    }

    /// True where there is a second world to compare with.
    pub(super) fn has_twin(&self) -> bool {
        self.sites.len() > 1
    }

    /// Sets variables in every world.
    pub(super) fn set_all(
        &mut self,
        own: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), TemplateFault> {
        self.memories.iter_mut().try_for_each(|memory| set_all(&mut memory.variables, own))
    }

    /// Carries out steps up to the first that fails, and gives its cause.
    pub(super) async fn steps(
        &mut self,
        steps: &[Step],
        part: Part<'_>,
        evidence: &mut Vec<StepEvidence>,
    ) -> Option<String> {
        for step in steps {
            let begun = evidence.len();
            self.step(step, part, evidence).await;
            let cause = evidence.get(begun..).unwrap_or_default().iter().find_map(StepEvidence::cause);
            if cause.is_some() {
                return cause;
            }
        }
        None
    }

    async fn step(&mut self, step: &Step, part: Part<'_>, evidence: &mut Vec<StepEvidence>) {
        let mut done = Vec::new();
        for at in 0..self.sites.len() {
            let own =
                self.sites.get(at).is_some_and(|site| step.only_in.is_none_or(|only| only == site.world));
            if own {
                let one = self.carry_out(at, step, part).await;
                let failed = !one.passed();
                done.push(one);
                if failed {
                    return evidence.append(&mut done);
                }
            }
        }
        let compared = part.twin.filter(|_| step.only_in.is_none());
        self.compare(&mut done, compared);
        let pages = compared.map_or(0, |twin| twin.pages);
        let mut links = self.next_links(&done);
        evidence.append(&mut done);
        for page in 0..pages {
            if links.len() < self.sites.len() || evidence.last().is_some_and(|last| !last.passed()) {
                return;
            }
            for (memory, link) in self.memories.iter_mut().zip(links) {
                memory.variables.set(NEXT, link);
            }
            let next = self.page(step, page);
            for at in 0..self.sites.len() {
                done.push(self.carry_out(at, &next, part).await);
            }
            self.compare(&mut done, compared);
            links = self.next_links(&done);
            evidence.append(&mut done);
        }
    }

    /// The step that fetches the next page of a search.
    fn page(&self, step: &Step, page: u32) -> Step {
        let title = step.title.clone().unwrap_or_else(|| plain_title(step));
        Step {
            title: Some(format!("{title}, page {}", page.saturating_add(2))),
            verifies: step.verifies.clone(),
            request: RequestPlan {
                method: "GET".to_owned(),
                path: format!("${{{NEXT}}}"),
                actor: step.request.actor.clone(),
                ..RequestPlan::default()
            },
            ..Step::default()
        }
    }

    /// Where each answer says that the next page is; nothing for one that says nothing.
    fn next_links(&self, done: &[StepEvidence]) -> Vec<String> {
        let next = |evidence: &StepEvidence| {
            let body = evidence.response.as_ref()?.body.as_str();
            let document = OwnedDocument::parse_json(body, &Limits::default()).ok()?;
            let place = Place::path("link[relation=next].url").ok()?;
            place
                .values(document.root())
                .into_iter()
                .next()
                .and_then(Value::as_str)
                .map(|url| url.into_owned())
        };
        done.iter().filter_map(next).collect()
    }

    /// Compares the answers of the two worlds, where both came and hold by themselves.
    fn compare(&self, done: &mut [StepEvidence], compared: Option<&TwinTest>) {
        let ([first, twin], [here, there], Some(_)) = (done, self.memories.as_slice(), compared) else {
            return;
        };
        if let (Some(one), Some(other)) = (&first.response, &twin.response) {
            let result = same_in_twin(self.rules, (one, &here.variables), (other, &there.variables));
            twin.checks.push(result);
        }
    }

    /// One step in one world.
    async fn carry_out(&mut self, at: usize, step: &Step, part: Part<'_>) -> StepEvidence {
        let twins = self.has_twin();
        let (Some(site), Some(memory)) = (self.sites.get(at), self.memories.get_mut(at)) else {
            return StepEvidence::begun(part.phase, plain_title(step));
        };
        let mut evidence =
            StepEvidence::begun(part.phase, step.title.clone().unwrap_or_else(|| plain_title(step)));
        evidence.world = twins.then_some(site.world);
        let own = if step.verifies.is_empty() { part.verifies } else { step.verifies.as_slice() };
        evidence.verifies = own.to_vec();
        let token = site.token(step.request.actor.as_deref());
        let outgoing = match site.prepare.outgoing(&step.request, &memory.variables, token) {
            Ok(outgoing) => outgoing,
            Err(fault) => {
                evidence.fault = Some(fault);
                return evidence;
            }
        };
        let begun = Instant::now();
        let (request, answer) = self.client.send(outgoing).await;
        evidence.milliseconds = milliseconds(begun);
        evidence.request = Some(request);
        let response = match answer {
            Ok(response) => response,
            Err(fault) => {
                evidence.fault = Some(fault);
                return evidence;
            }
        };
        let unnamed = if part.twin.is_some() { Unnamed::Answer } else { Unnamed::Success };
        match check(&step.expect, unnamed, &response, &memory.variables, &memory.responses) {
            Ok(checks) => evidence.checks = checks,
            Err(fault) => evidence.fault = Some(fault.to_string()),
        }
        if evidence.passed() {
            for (name, save) in &step.save {
                match saved(save, &response) {
                    Some(value) => memory.variables.set(name, value),
                    None => {
                        evidence.fault =
                            Some(format!("{name} can't be taken from the answer: nothing is there"))
                    }
                }
            }
        }
        if let Some(name) = &step.save_response {
            memory.responses.insert(name.clone(), response.clone());
        }
        evidence.response = Some(response);
        evidence
    }
}

fn plain_title(step: &Step) -> String {
    format!("{} {}", step.request.method, step.request.path)
}
