//! Generated policies over generated requests: what is decided equals what an evaluator says that is plain to read.

use std::sync::Arc;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::consent::{ACT_REASON, CONFIDENTIALITY, LiteralReference, ResourceFacts};
use crate::requester::{Code, Requester};

const TYPES: [&str; 3] = ["Observation", "Condition", "MedicationRequest"];
const ROLES: [&str; 3] = ["doctor", "clerk", "researcher"];
const LEVELS: [&str; 3] = ["N", "R", "V"];
const PURPOSES: [&str; 3] = ["TREAT", "BTG", "HRESCH"];

#[derive(Debug, Clone)]
enum Condition {
    TypeIs(usize),
    Labelled(usize),
    AtLeast(i64),
    HasRole(usize),
    For(usize),
    Emergency,
    OnePatient,
    Not(Box<Condition>),
    Both(Box<Condition>, Box<Condition>),
    Either(Box<Condition>, Box<Condition>),
}

#[derive(Debug, Clone)]
struct Written {
    forbids: bool,
    role: Option<usize>,
    action: Option<usize>,
    group: bool,
    when: Option<Condition>,
    unless: Option<Condition>,
}

#[derive(Debug, Clone)]
struct World {
    roles: Vec<usize>,
    purposes: Vec<usize>,
    kind: usize,
    labels: Vec<usize>,
    patients: usize,
    action: usize,
}

impl Condition {
    fn text(&self) -> String {
        match self {
            Condition::TypeIs(kind) => format!("resource.type == \"{}\"", TYPES[*kind]),
            Condition::Labelled(level) => {
                format!("resource.labels.contains(\"{CONFIDENTIALITY}|{}\")", LEVELS[*level])
            }
            Condition::AtLeast(level) => {
                format!("resource has confidentiality && resource.confidentiality >= {level}")
            }
            Condition::HasRole(role) => format!("principal.roles.contains(\"urn:r|{}\")", ROLES[*role]),
            Condition::For(purpose) => {
                format!("context.purposes.contains(\"{ACT_REASON}|{}\")", PURPOSES[*purpose])
            }
            Condition::Emergency => "context.emergency".to_owned(),
            Condition::OnePatient => "resource.patient_count == 1".to_owned(),
            Condition::Not(inner) => format!("!({})", inner.text()),
            Condition::Both(a, b) => format!("({}) && ({})", a.text(), b.text()),
            Condition::Either(a, b) => format!("({}) || ({})", a.text(), b.text()),
        }
    }

    fn holds(&self, world: &World) -> bool {
        match self {
            Condition::TypeIs(kind) => world.kind == *kind,
            Condition::Labelled(level) => world.labels.contains(level),
            // N, R and V are the levels 4, 5 and 6.
            Condition::AtLeast(level) => world.labels.iter().any(|own| *own as i64 + 4 >= *level),
            Condition::HasRole(role) => world.roles.contains(role),
            // Breaking the glass is treatment too.
            Condition::For(0) => world.purposes.contains(&0) || world.purposes.contains(&1),
            Condition::For(purpose) => world.purposes.contains(purpose),
            Condition::Emergency => world.purposes.contains(&1),
            Condition::OnePatient => world.patients == 1,
            Condition::Not(inner) => !inner.holds(world),
            Condition::Both(a, b) => a.holds(world) && b.holds(world),
            Condition::Either(a, b) => a.holds(world) || b.holds(world),
        }
    }
}

impl Written {
    fn text(&self, number: usize) -> String {
        let effect = if self.forbids { "forbid" } else { "permit" };
        let principal = match self.role {
            Some(role) => format!("principal in Role::\"urn:r|{}\"", ROLES[role]),
            None => "principal".to_owned(),
        };
        let action = match self.action.map(|at| PolicyAction::ALL[at]) {
            Some(action) if self.group => format!("action in Action::\"{}\"", action.group()),
            Some(action) => format!("action == Action::\"{}\"", action.name()),
            None => "action".to_owned(),
        };
        let clause = |word: &str, condition: &Option<Condition>| match condition {
            Some(condition) => format!(" {word} {{ {} }}", condition.text()),
            None => String::new(),
        };
        let (when, unless) = (clause("when", &self.when), clause("unless", &self.unless));
        format!("@id(\"p{number}\") {effect}({principal}, {action}, resource){when}{unless};\n")
    }

    fn applies(&self, world: &World) -> bool {
        let asked = PolicyAction::ALL[world.action];
        let acts = self
            .action
            .map(|at| PolicyAction::ALL[at])
            .is_none_or(|own| if self.group { own.group() == asked.group() } else { own == asked });
        acts && self.role.is_none_or(|role| world.roles.contains(&role))
            && self.when.as_ref().is_none_or(|condition| condition.holds(world))
            && !self.unless.as_ref().is_some_and(|condition| condition.holds(world))
    }
}

fn conditions() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        (0..3_usize).prop_map(Condition::TypeIs),
        (0..3_usize).prop_map(Condition::Labelled),
        (4..7_i64).prop_map(Condition::AtLeast),
        (0..3_usize).prop_map(Condition::HasRole),
        (0..3_usize).prop_map(Condition::For),
        Just(Condition::Emergency),
        Just(Condition::OnePatient),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|own| Condition::Not(Box::new(own))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Condition::Both(Box::new(a), Box::new(b))),
            (inner.clone(), inner).prop_map(|(a, b)| Condition::Either(Box::new(a), Box::new(b))),
        ]
    })
}

fn policies() -> impl Strategy<Value = Vec<Written>> {
    let one = (
        any::<bool>(),
        proptest::option::of(0..3_usize),
        proptest::option::of(0..12_usize),
        any::<bool>(),
        proptest::option::of(conditions()),
        proptest::option::of(conditions()),
    )
        .prop_map(|(forbids, role, action, group, when, unless)| Written {
            forbids,
            role,
            action,
            group,
            when,
            unless,
        });
    proptest::collection::vec(one, 1..6)
}

fn worlds() -> impl Strategy<Value = Vec<World>> {
    let some = || proptest::collection::vec(0..3_usize, 0..3);
    let one = (some(), some(), 0..3_usize, some(), 0..3_usize, 0..12_usize).prop_map(
        |(roles, purposes, kind, labels, patients, action)| World {
            roles,
            purposes,
            kind,
            labels,
            patients,
            action,
        },
    );
    proptest::collection::vec(one, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn decisions_equal_those_of_the_plain_evaluator(
        written in policies(), worlds in worlds(), open in any::<bool>(),
    ) {
        let text: String = written.iter().enumerate().map(|(at, own)| own.text(at)).collect();
        let without = if open { WithoutPolicy::Permit } else { WithoutPolicy::Deny };
        let source = PolicySource { name: "generated.cedar".to_owned(), text: text.clone() };
        // A contradiction is refused when it is read, and so is a site that permits nothing.
        let Ok(policies) = SitePolicies::compile(&[source], without) else { return Ok(()) };
        let policies = Arc::new(policies);
        for world in worlds {
            let code = |system: &str, code: &str| Code::new(system, code);
            let requester = Requester {
                roles: world.roles.iter().map(|at| code("urn:r", ROLES[*at])).collect(),
                purposes: world.purposes.iter().map(|at| code(ACT_REASON, PURPOSES[*at])).collect(),
                ..Requester::default()
            };
            let facts = ResourceFacts {
                reference: LiteralReference::parse(&format!("{}/1", TYPES[world.kind])),
                resource_type: TYPES[world.kind].to_owned(),
                labels: world.labels.iter().map(|at| code(CONFIDENTIALITY, LEVELS[*at])).collect(),
                ..ResourceFacts::default()
            };
            let resource = PolicyResource { facts: &facts, patients: &[], patient_count: world.patients, site: "s" };
            let action = PolicyAction::ALL[world.action];
            let at = "2026-11-22T09:00:00Z".parse().unwrap();
            let mut request = PolicyRequest::new(policies.clone(), &requester, at, &TimeZone::UTC);
            let decision = request.decide(action, &resource);

            let applying = |forbids: bool| -> Vec<String> {
                let all = written.iter().enumerate();
                all.filter(|(_, own)| own.forbids == forbids && own.applies(&world)).map(|(at, _)| format!("p{at}")).collect()
            };
            let (forbids, permits) = (applying(true), applying(false));
            let (expected, by) = match (forbids.is_empty(), permits.is_empty()) {
                (false, _) => (false, forbids),
                (true, false) => (true, permits),
                (true, true) => (open, Vec::new()),
            };
            prop_assert_eq!(decision.permitted, expected, "{}\n{:?}", text, world);
            prop_assert_eq!(decision.by.iter().map(|own| own.name.clone()).collect::<Vec<_>>(), by);
            prop_assert!(decision.failed.is_empty());
            // What is refused whatever the resource is refused for this one too.
            prop_assert!(request.refused(action, TYPES[world.kind]).is_none() || !expected, "{}\n{:?}", text, world);
        }
    }
}
