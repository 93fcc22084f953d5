//! Why: sentences for the operator, without any person's data.

use std::fmt;

use super::compiled::{DataConditions, Force, Provision, Standing};
use super::condition::{Match, actions, actors, classes, codes, data, data_period, labels, purposes};
use super::verdict::Verdict;
use super::{CompiledConsent, Effect, Question, Reason, ReasonEffect, ResourceFacts};

/// Whether a consent takes part in the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Counts,
    Superseded,
}

/// Consents that had to agree do not.
pub(super) fn contradiction() -> Reason {
    Reason {
        consent: Box::default(),
        provision: Box::default(),
        text: "the consents contradict each other, and the setting then refuses".to_owned(),
        effect: ReasonEffect::Deny,
    }
}

/// The data is labelled for other purposes than those claimed.
pub(super) fn purposes_conflict() -> Reason {
    Reason {
        consent: Box::default(),
        provision: Box::default(),
        text: "the resource is labelled for other purposes of use than those claimed".to_owned(),
        effect: ReasonEffect::Deny,
    }
}

/// What one consent contributes, at least one reason.
pub(super) fn reasons(consent: &CompiledConsent, question: &Question<'_>, part: Part) -> Vec<Reason> {
    let whole = |effect, text: fmt::Arguments<'_>| {
        let text = told(question, text);
        vec![Reason { consent: consent.id.clone(), provision: Box::default(), text, effect }]
    };
    match consent.standing {
        Standing::Status(status) => {
            return whole(ReasonEffect::None, format_args!("does not count: its status is {status}"));
        }
        Standing::Scope => {
            return whole(ReasonEffect::None, format_args!("does not count: its scope is not privacy"));
        }
        Standing::Counts | Standing::Undecidable(_) => {}
    }
    let force = consent.force(question);
    if force == Force::Out {
        return whole(ReasonEffect::None, format_args!("not in force: the time lies outside its period"));
    }
    if consent.is_unaddressed(question) {
        return vec![unaddressed(consent, question)];
    }
    if part == Part::Superseded {
        let text = match consent.addresses(question) {
            true => "does not count: a more recent consent speaks about this request",
            false => "does not speak about this request",
        };
        return whole(ReasonEffect::None, format_args!("{text}"));
    }
    if let Standing::Undecidable(cause) = consent.standing {
        let text = format_args!("denies everything, since it can't be decided: {cause}");
        return whole(ReasonEffect::Deny, text);
    }
    let mut found = match question.resource {
        Some(facts) => vec![on_resource(consent, question, facts, force)],
        None => on_request(consent, question, force),
    };
    if found.is_empty() {
        found = whole(ReasonEffect::None, format_args!("denies something, but not to this request"));
    }
    found
}

/// A sentence, where the question asks for words.
fn told(question: &Question<'_>, text: fmt::Arguments<'_>) -> String {
    if question.in_words { text.to_string() } else { String::new() }
}

fn reason(consent: &CompiledConsent, provision: &Provision, effect: ReasonEffect, text: String) -> Reason {
    Reason { consent: consent.id.clone(), provision: provision.path.clone(), text, effect }
}

fn unaddressed(consent: &CompiledConsent, question: &Question<'_>) -> Reason {
    let unmet = consent.provisions.first().and_then(|root| root.unmet(question)).unwrap_or("provision");
    Reason {
        consent: consent.id.clone(),
        provision: consent.provisions.first().map_or_else(Box::default, |root| root.path.clone()),
        text: told(question, format_args!("permits, but not to this request: its {unmet} does not match")),
        effect: ReasonEffect::Withhold,
    }
}

fn on_resource(
    consent: &CompiledConsent,
    question: &Question<'_>,
    facts: &ResourceFacts,
    force: Force,
) -> Reason {
    let verdict = consent.verdict(question, facts);
    let index = match verdict {
        Verdict::Permit(index) | Verdict::Deny(index) => index,
        _ => 0,
    };
    let Some(provision) = consent.provisions.get(index) else { return contradiction() };
    let effect = match verdict {
        Verdict::Permit(_) => ReasonEffect::Permit,
        Verdict::Deny(_) => ReasonEffect::Deny,
        Verdict::Withheld | Verdict::Unaddressed => ReasonEffect::Withhold,
        Verdict::Silent => ReasonEffect::None,
    };
    if !question.in_words {
        return reason(consent, provision, effect, String::new());
    }
    let unmet = || {
        let unmet = provision.unmet(question).or_else(|| provision.data.unmet(provision.effect, facts));
        unmet.unwrap_or("provision")
    };
    let text = match verdict {
        Verdict::Permit(_) | Verdict::Deny(_) => applied(provision, question, Some(facts)),
        Verdict::Withheld if force.is_doubtful() => doubtful(force),
        Verdict::Withheld | Verdict::Unaddressed => {
            format!("permits, but not this resource: its {} does not match", unmet())
        }
        Verdict::Silent => format!("denies something, but not this: its {} does not match", unmet()),
    };
    reason(consent, provision, effect, text)
}

/// One reason for each rule that the request leaves standing.
fn on_request(consent: &CompiledConsent, question: &Question<'_>, force: Force) -> Vec<Reason> {
    let rules = consent.rules(question);
    let mut found = Vec::new();
    if force.is_doubtful() && consent.provisions.first().is_some_and(|root| root.effect == Effect::Permit) {
        let root = consent.provisions.iter().take(1);
        found.extend(root.map(|root| reason(consent, root, ReasonEffect::Withhold, doubtful(force))));
    }
    for rule in rules.forbids.iter().chain(&rules.permits) {
        let Some(provision) = consent.provisions.iter().find(|own| own.path == rule.provision) else {
            continue;
        };
        let effect = match rule.effect {
            Effect::Permit => ReasonEffect::Permit,
            Effect::Deny => ReasonEffect::Deny,
        };
        found.push(reason(consent, provision, effect, applied(provision, question, None)));
    }
    let root = consent.provisions.first().filter(|_| found.is_empty());
    if let Some(root) = root.filter(|root| root.effect == Effect::Permit) {
        let text = "permits to this request, but no resource can meet its conditions".to_owned();
        found.push(reason(consent, root, ReasonEffect::Withhold, text));
    }
    found
}

fn doubtful(force: Force) -> String {
    let cause = if let Force::Doubtful(cause) = force { cause } else { "it can't be told" };
    format!("does not permit, since it can't be told whether it is in force: {cause}")
}

/// "denies: purpose and actor match; actor can't be compared, which restricts".
fn applied(provision: &Provision, question: &Question<'_>, facts: Option<&ResourceFacts>) -> String {
    let verb = if provision.effect == Effect::Permit { "permits" } else { "denies" };
    let mut states = provision.states(question);
    if let Some(facts) = facts {
        provision.data.states(provision.effect, facts, &mut states);
    }
    let of = |wanted| states.iter().filter(move |(_, state)| *state == wanted).map(|(element, _)| *element);
    let matching: Vec<_> = of(Match::Yes).collect();
    let undecided: Vec<_> = of(Match::Undecided).collect();
    let mut text = match matching.as_slice() {
        [] if undecided.is_empty() => format!("{verb} this request"),
        [] => verb.to_owned(),
        [one] => format!("{verb}: its {one} matches"),
        several => format!("{verb}: its {} match", listed(several)),
    };
    if facts.is_none() && !provision.data.is_empty() {
        text.push_str(", for the resources that meet its conditions");
    }
    if !undecided.is_empty() {
        text.push_str(&format!(
            "; its {} can't be compared with this request, which restricts",
            listed(&undecided)
        ));
    }
    for doubt in &provision.doubts {
        text.push_str(&format!("; {}: {}, which restricts", doubt.element, doubt.cause));
    }
    text
}

fn listed(elements: &[&str]) -> String {
    match elements.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}

impl Provision {
    fn states(&self, question: &Question<'_>) -> Vec<(&'static str, Match)> {
        let mut states = Vec::new();
        if self.period.is_some() {
            states.push(("period", Match::Yes));
        }
        if let Some(tests) = &self.purposes {
            states.push(("purpose", purposes(tests, &question.requester.purposes, self.effect)));
        }
        if let Some(listed) = &self.actions {
            states.push(("action", actions(listed, question.action)));
        }
        if let Some(tests) = &self.actors {
            states.push(("actor", actors(tests, question)));
        }
        states
    }
}

impl DataConditions {
    fn states(&self, effect: Effect, facts: &ResourceFacts, states: &mut Vec<(&'static str, Match)>) {
        if let Some(tests) = &self.labels {
            states.push(("securityLabel", labels(tests, &facts.labels, effect)));
        }
        if let Some(tests) = &self.classes {
            states.push(("class", classes(tests, facts)));
        }
        if let Some(tests) = &self.data {
            states.push(("data", data(tests, facts)));
        }
        for test in self.period.iter().flat_map(|tests| tests.iter()) {
            states.push(("dataPeriod", data_period(&test.span, facts, effect)));
        }
        if let Some(tests) = &self.codes {
            states.push(("code", codes(tests, facts)));
        }
    }
}
