//! What is left to decide once the request is known and the resource is not (IHE PCF: residual permits and
//! forbids).
//!
//! A consent's tree becomes two flat lists. Invariant: for every resource, "a forbid applies, else a permit
//! applies, else the rest" gives what the tree gives; a property test holds the two against each other.

use std::sync::Arc;

use fhir_models::document::JsonWriter;

use super::compiled::{DataConditions, Provision};
use super::condition::{ClassTest, CodeTest, LabelTest};
use super::subsumption::CONFIDENTIALITY;
use super::{CompiledConsent, Effect, Question, ResourceFacts};

/// Conditions that must all be met, each as its provision's effect has it.
type All = Vec<(Effect, Arc<DataConditions>)>;

/// A rule that a resource may meet.
#[derive(Debug, Clone)]
pub struct Residual {
    /// Permit or deny (`forbid` in the words of IHE PCF).
    pub effect: Effect,
    /// The consent it comes from.
    pub consent: Box<str>,
    /// The provision it comes from.
    pub provision: Box<str>,
    /// Which of the consents asked it comes from; ids may be missing or alike.
    pub(super) origin: usize,
    conditions: All,
    /// A deny does not apply where one of these is met.
    except: Vec<All>,
}

impl Residual {
    /// Whether the rule applies to a resource.
    pub fn applies_to(&self, facts: &ResourceFacts) -> bool {
        is_met(&self.conditions, facts) && !self.except.iter().any(|all| is_met(all, facts))
    }

    /// True where it applies to every resource.
    pub fn is_unconditional(&self) -> bool {
        self.covers_everything() && self.except.is_empty()
    }

    /// True where it applies to every resource that no exception takes out.
    pub(super) fn covers_everything(&self) -> bool {
        self.conditions.iter().all(|(_, conditions)| conditions.is_empty())
    }

    /// How many exceptions it has.
    pub(super) fn exceptions(&self) -> usize {
        self.except.len()
    }

    /// Everything that none of these permits covers.
    pub(super) fn all_but(consent: &CompiledConsent, permits: &[Residual]) -> Residual {
        Residual {
            effect: Effect::Deny,
            consent: consent.id.clone(),
            provision: consent.provisions.first().map_or_else(Box::default, |root| root.path.clone()),
            origin: 0,
            conditions: All::new(),
            except: permits.iter().map(|permit| permit.conditions.clone()).collect(),
        }
    }
}

fn is_met(all: &All, facts: &ResourceFacts) -> bool {
    all.iter().all(|(effect, conditions)| conditions.met_by(*effect, facts))
}

/// The rules of one consent for one request.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub permits: Vec<Residual>,
    pub forbids: Vec<Residual>,
}

impl CompiledConsent {
    /// The rules that a request leaves open. The consent must speak, and if it permits, address the request.
    pub(super) fn rules(&self, question: &Question<'_>) -> Rules {
        let Some(root) = self.provisions.first() else { return Rules::default() };
        let doubtful = self.force(question).is_doubtful();
        let mut rules = Rules::default();
        for index in self.exceptions(0) {
            self.flatten(index, question, doubtful && root.effect == Effect::Deny, &All::new(), &mut rules);
        }
        if root.meets_request(question) {
            self.add(root, All::new(), 0, &mut rules);
        }
        if doubtful {
            rules.permits.clear();
        }
        rules
    }

    fn flatten(
        &self,
        index: usize,
        question: &Question<'_>,
        denies_only: bool,
        above: &All,
        into: &mut Rules,
    ) {
        let Some(provision) = self.provisions.get(index) else { return };
        let ignored = denies_only && provision.effect == Effect::Permit;
        let unmeetable = provision.effect == Effect::Permit && provision.data.is_unmeetable();
        if ignored || unmeetable || !provision.meets_request(question) {
            return;
        }
        let mut own = above.clone();
        if !provision.data.is_empty() {
            own.push((provision.effect, Arc::clone(&provision.data)));
        }
        let before = into.permits.len();
        for exception in self.exceptions(index) {
            self.flatten(exception, question, denies_only, &own, into);
        }
        self.add(provision, above.clone(), before, into);
    }

    /// Adds a provision's own rule. What its exceptions permit (from `lifting` on) lifts what it denies.
    fn add(&self, provision: &Provision, above: All, lifting: usize, into: &mut Rules) {
        let mut conditions = above;
        if !provision.data.is_empty() {
            conditions.push((provision.effect, Arc::clone(&provision.data)));
        }
        let lifted = into.permits.get(lifting..).unwrap_or_default();
        if provision.effect == Effect::Deny && lifted.iter().any(Residual::covers_everything) {
            return;
        }
        let mut rule = Residual {
            effect: provision.effect,
            consent: self.id.clone(),
            provision: provision.path.clone(),
            origin: 0,
            conditions,
            except: Vec::new(),
        };
        match provision.effect {
            Effect::Deny => {
                rule.except = lifted.iter().map(|permit| permit.conditions.clone()).collect();
                into.forbids.push(rule);
            }
            Effect::Permit if provision.data.is_unmeetable() => {}
            Effect::Permit => into.permits.push(rule),
        }
    }
}

impl Residual {
    /// The conditions as compact JSON, for people.
    pub fn conditions_text(&self) -> String {
        let mut json = JsonWriter::new();
        json.begin_object();
        self.write_conditions(&mut json);
        json.end_object();
        String::from_utf8(json.into_bytes()).unwrap_or_default()
    }

    /// Writes the rule as IHE PCF's `residual` has it, with its origin, and its exceptions where it has some.
    pub fn write_json(&self, json: &mut JsonWriter) {
        json.begin_object();
        json.member("type", if self.effect == Effect::Permit { "permit" } else { "forbid" });
        json.member("consent", &self.consent).member("provision", &self.provision);
        self.write_conditions(json);
        json.end_object();
    }

    fn write_conditions(&self, json: &mut JsonWriter) {
        write_all(&self.conditions, json);
        if !self.except.is_empty() {
            json.key("except").begin_array();
            for all in &self.except {
                json.begin_object();
                write_all(all, json);
                json.end_object();
            }
            json.end_array();
        }
    }
}

/// One set of conditions stands in the object itself; several, from provisions one below the other, in `all`.
fn write_all(all: &All, json: &mut JsonWriter) {
    match all.as_slice() {
        [] => {}
        [(_, conditions)] => write(conditions, json),
        several => {
            json.key("all").begin_array();
            for (_, conditions) in several {
                json.begin_object();
                write(conditions, json);
                json.end_object();
            }
            json.end_array();
        }
    }
}

fn write(conditions: &DataConditions, json: &mut JsonWriter) {
    if let Some(labels) = &conditions.labels {
        json.key("securityLabel").begin_array();
        for label in labels.iter() {
            match label {
                LabelTest::Level(level) => coding(CONFIDENTIALITY, level.code(), json),
                LabelTest::Code(test) => coding(&test.code.system, &test.code.code, json),
            }
        }
        json.end_array();
    }
    if let Some(classes) = &conditions.classes {
        json.key("class").begin_array();
        for class in classes.iter() {
            match class {
                ClassTest::Type(kind) => coding("http://hl7.org/fhir/resource-types", kind, json),
                ClassTest::Profile(canonical) => coding("urn:ietf:rfc:3986", canonical, json),
                ClassTest::Code(CodeTest { code, .. }) => coding(&code.system, &code.code, json),
            }
        }
        json.end_array();
    }
    if let Some(codes) = &conditions.codes {
        json.key("code").begin_array();
        codes.iter().for_each(|test| coding(&test.code.system, &test.code.code, json));
        json.end_array();
    }
    for period in conditions.period.iter().flat_map(|tests| tests.iter()).take(1) {
        json.key("dataPeriod").begin_object();
        json.optional("start", period.start.as_deref()).optional("end", period.end.as_deref()).end_object();
    }
    if let Some(data) = &conditions.data {
        json.key("data").begin_array();
        for test in data.iter() {
            json.begin_object().member("meaning", test.meaning.code()).key("reference").begin_object();
            json.optional("reference", test.party.reference.as_ref().map(|reference| reference.as_str()));
            if let Some(identifier) = test.party.identifiers.first() {
                json.key("identifier").begin_object().member("system", &identifier.system);
                json.member("value", &identifier.value).end_object();
            }
            json.end_object().end_object();
        }
        json.end_array();
    }
}

fn coding(system: &str, code: &str, json: &mut JsonWriter) {
    json.begin_object().member("system", system).member("code", code).end_object();
}
