//! The reference evaluator.

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::super::{Combining, LiteralReference, Outcome, ResourceFacts};
use super::{ACT, CONF, PART, REASON, TYPES};
use crate::requester::{BusinessIdentifier, Code, Requester};

/// Yes, no, can't tell for this question, can't be told at all.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Says {
    Yes,
    No,
    Unclear,
    Never,
}
use Says::{Never, No, Unclear, Yes};

/// One question, in words.
pub(super) struct World<'a> {
    pub requester: &'a Requester,
    pub known_as: &'a [LiteralReference],
    pub action: &'a str,
    pub at: Timestamp,
    pub born: Option<&'a str>,
    pub facts: &'a ResourceFacts,
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

fn list<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    match value.get(key) {
        None => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    }
}

fn concept(value: &Value) -> Vec<(&str, &str)> {
    list(value, "coding").into_iter().map(|coding| (text(coding, "system"), text(coding, "code"))).collect()
}

fn narrower(broad: (&str, &str), narrow: (&str, &str)) -> bool {
    let below: &[&str] = match broad {
        (REASON, "TREAT") => &["ETREAT", "BTG"],
        (REASON, "ETREAT") => &["BTG"],
        (ACT, "SUD") => &["ETHUD"],
        _ => &[],
    };
    broad.0 == narrow.0 && below.contains(&narrow.1)
}

fn covers(rule: (&str, &str), code: (&str, &str)) -> bool {
    rule == code || narrower(rule, code)
}

fn pair(code: &Code) -> (&str, &str) {
    (&code.system, &code.code)
}

/// A member that R4's element does not have: nobody knows what it changes.
fn strange(value: &Value, known: &str) -> bool {
    let known: Vec<&str> = known.split(' ').collect();
    value.as_object().is_some_and(|own| own.keys().any(|key| !known.contains(&key.trim_start_matches('_'))))
}

const OF_CONSENT: &str = "resourceType id meta language text contained extension identifier status scope category patient \
                          dateTime performer organization sourceAttachment sourceReference policy policyRule verification \
                          provision";
const OF_PROVISION: &str =
    "id extension type period actor action securityLabel purpose class code dataPeriod data provision";

/// One code of a rule against a list of codes.
fn in_list(rule: (&str, &str), codes: &[Code], if_empty: Says) -> Says {
    if rule.0.is_empty() {
        return Never;
    }
    if codes.is_empty() {
        return if_empty;
    }
    if codes.iter().any(|code| covers(rule, pair(code))) {
        return Yes;
    }
    if codes.iter().any(|code| code.system == rule.0) { No } else { Unclear }
}

/// `None` where the text is no date.
fn date(text: &str) -> Option<(Timestamp, Timestamp)> {
    let whole = |start: String, span: jiff::Span| {
        let start: jiff::civil::Date = start.parse().ok()?;
        let end = start.checked_add(span).ok()?;
        let at = |date: jiff::civil::Date| date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        Some((at(start), at(end)))
    };
    match text.len() {
        4 => whole(format!("{text}-01-01"), 1.year()),
        7 => whole(format!("{text}-01"), 1.month()),
        10 => whole(text.to_owned(), 1.day()),
        20 => text.parse::<Timestamp>().ok().map(|at| (at, at + 1.second())),
        _ => None,
    }
}

fn period(value: &Value) -> Option<(Timestamp, Timestamp)> {
    let start = match value.get("start") {
        None => Timestamp::MIN,
        Some(start) => date(start.as_str()?)?.0,
    };
    let end = match value.get("end") {
        None => Timestamp::MAX,
        Some(end) => date(end.as_str()?)?.1,
    };
    (start < end).then_some((start, end))
}

/// What can be compared of a reference, and the identifiers behind it.
fn target<'a>(consent: &'a Value, reference: &'a Value) -> (Option<&'a str>, Vec<(&'a str, &'a str)>) {
    let mut identifiers: Vec<(&str, &str)> = Vec::new();
    if let Some(own) = reference.get("identifier") {
        identifiers.push((text(own, "system"), text(own, "value")));
    }
    let literal = text(reference, "reference");
    if let Some(fragment) = literal.strip_prefix('#') {
        for inner in list(consent, "contained").into_iter().filter(|inner| text(inner, "id") == fragment) {
            for own in list(inner, "identifier") {
                identifiers.push((text(own, "system"), text(own, "value")));
            }
        }
    }
    let usable = literal.contains('/') && !literal.contains(' ');
    (usable.then_some(literal), identifiers)
}

fn same(a: &str, b: &str) -> Says {
    let tail = |text: &str| text.rsplit('/').take(2).map(str::to_owned).collect::<Vec<_>>();
    if a == b {
        Yes
    } else if a.starts_with("http") == b.starts_with("http") || tail(a) != tail(b) {
        No
    } else {
        Unclear
    }
}

fn weigh(evidence: &[Says]) -> Says {
    [Yes, No].into_iter().find(|says| evidence.contains(says)).unwrap_or(Unclear)
}

fn greatest(all: &[Says]) -> Says {
    [Yes, Unclear].into_iter().find(|says| all.contains(says)).unwrap_or(No)
}

fn same_identifier(wanted: &[(&str, &str)], own: &[&BusinessIdentifier]) -> Says {
    let mut evidence = Vec::new();
    for (system, value) in wanted {
        for own in own.iter().filter(|own| !system.is_empty() && own.system == *system) {
            evidence.push(if own.value == *value { Yes } else { No });
        }
    }
    weigh(&evidence)
}

fn actor_says(consent: &Value, actor: &Value, world: &World<'_>) -> Says {
    if strange(actor, "id extension role reference") {
        return Never;
    }
    let roles = actor.get("role").map(concept).unwrap_or_default();
    let recipient = roles.iter().any(|(system, code)| *system == PART && ["IRCP", "PRCP"].contains(code));
    let functional: Vec<_> =
        roles.iter().copied().filter(|(system, _)| !system.is_empty() && *system != PART).collect();
    let role = match (recipient, functional.as_slice()) {
        (true, _) => Yes,
        (false, []) => return Never,
        (false, several) => {
            let all: Vec<_> =
                several.iter().map(|role| in_list(*role, &world.requester.roles, Unclear)).collect();
            greatest(&all)
        }
    };
    let Some(reference) = actor.get("reference") else {
        return if recipient { Never } else { role };
    };
    let (literal, identifiers) = target(consent, reference);
    if literal.is_none() && identifiers.iter().all(|(system, _)| system.is_empty()) {
        return Never;
    }
    let type_of = |literal: &str| literal.rsplit('/').nth(1).map(str::to_owned);
    let mut evidence = Vec::new();
    if let Some(literal) = literal {
        let alike: Vec<_> =
            world.known_as.iter().filter(|known| type_of(known.as_str()) == type_of(literal)).collect();
        if !alike.is_empty() {
            let all: Vec<_> = alike.iter().map(|known| same(literal, known.as_str())).collect();
            evidence.push(greatest(&all));
        }
    }
    let kind = match text(reference, "type") {
        "" => literal.and_then(type_of).unwrap_or_default(),
        kind => kind.to_owned(),
    };
    let mut own: Vec<&BusinessIdentifier> = Vec::new();
    if kind.is_empty() || kind == "Practitioner" {
        own.extend(&world.requester.subject);
    }
    if kind.is_empty() || kind == "Organization" {
        own.extend(&world.requester.organizations);
    }
    evidence.push(same_identifier(&identifiers, &own));
    let who = weigh(&evidence);
    if role == No || who == No {
        No
    } else if role == Yes && who == Yes {
        Yes
    } else {
        Unclear
    }
}

fn label_says(label: &Value, effect: &str, world: &World<'_>) -> Says {
    let rule = (text(label, "system"), text(label, "code"));
    if rule.0.is_empty() {
        return Never;
    }
    if rule.0 == CONF {
        let order = "ULMNRV";
        let Some(mark) = order.find(rule.1) else { return Never };
        let own: Vec<_> = world.facts.labels.iter().filter(|label| label.system == CONF).collect();
        let known: Vec<_> = own.iter().filter_map(|label| order.find(label.code.as_str())).collect();
        let strange = known.len() < own.len();
        let highest = known.iter().max().copied();
        return match (effect, highest) {
            (_, None) => Unclear,
            ("permit", Some(_)) if strange => Unclear,
            ("permit", Some(highest)) => {
                if highest <= mark {
                    Yes
                } else {
                    No
                }
            }
            (_, Some(highest)) if highest >= mark => Yes,
            _ => {
                if strange {
                    Unclear
                } else {
                    No
                }
            }
        };
    }
    let each: Vec<_> = world
        .facts
        .labels
        .iter()
        .map(|own| {
            if covers(rule, pair(own)) {
                Yes
            } else if narrower(pair(own), rule) || (own.system.is_empty() && own.code == rule.1) {
                Unclear
            } else {
                No
            }
        })
        .collect();
    greatest(&each)
}

fn class_says(class: &Value, world: &World<'_>) -> Says {
    let rule = (text(class, "system"), text(class, "code"));
    let yes = |yes: bool| if yes { Yes } else { No };
    match rule {
        ("", _) => Never,
        (TYPES, "Resource") => Yes,
        (TYPES, "DomainResource") => yes(world.facts.resource_type != "Bundle"),
        (TYPES, kind) => yes(world.facts.resource_type == kind),
        ("urn:ietf:rfc:3986", canonical) => yes(world
            .facts
            .profiles
            .iter()
            .any(|own| own == canonical || own.starts_with(&format!("{canonical}|")))),
        _ => in_list(rule, &world.facts.classes, No),
    }
}

fn data_says(consent: &Value, data: &Value, world: &World<'_>) -> Says {
    if strange(data, "id extension meaning reference") {
        return Never;
    }
    let Some(reference) = data.get("reference") else { return Never };
    let (literal, identifiers) = target(consent, reference);
    if literal.is_none() && identifiers.iter().all(|(system, _)| system.is_empty()) {
        return Never;
    }
    let own: Vec<_> = world.facts.identifiers.iter().collect();
    let mut evidence = vec![same_identifier(&identifiers, &own)];
    if let Some(literal) = literal {
        evidence.push(world.facts.reference.as_ref().map_or(No, |own| same(literal, own.as_str())));
    }
    let itself = weigh(&evidence);
    let among = |references: &[LiteralReference]| match literal {
        None => Unclear,
        Some(literal) => {
            greatest(&references.iter().map(|other| same(literal, other.as_str())).collect::<Vec<_>>())
        }
    };
    match text(data, "meaning") {
        "instance" => itself,
        "dependents" => greatest(&[itself, among(&world.facts.references)]),
        "related" => {
            let context = literal.is_some_and(|literal| literal.contains("Encounter/"));
            let referred = match &world.facts.referred_by {
                Some(referring) => among(referring),
                None if context => No,
                None => Unclear,
            };
            greatest(&[itself, among(&world.facts.references), referred])
        }
        "authoredby" => match &world.facts.authors {
            None => Unclear,
            Some(authors) => {
                let each: Vec<_> = authors
                    .iter()
                    .map(|author| {
                        let mut evidence = Vec::new();
                        if let (Some(literal), Some(own)) = (literal, &author.reference) {
                            evidence.push(same(literal, own.as_str()));
                        }
                        let own: Vec<_> = author.identifiers.iter().collect();
                        evidence.push(same_identifier(&identifiers, &own));
                        weigh(&evidence)
                    })
                    .collect();
                greatest(&each)
            }
        },
        _ => Never,
    }
}

/// The codings of one concept, of which any will do.
fn concept_says(value: &Value, each: impl Fn((&str, &str)) -> Says) -> Says {
    let all: Vec<_> = concept(value).into_iter().map(each).filter(|says| *says != Never).collect();
    if all.is_empty() { Never } else { greatest(&all) }
}

/// What each alternative of an element says.
fn element_says(
    consent: &Value,
    element: &str,
    stated: &Value,
    effect: &str,
    world: &World<'_>,
) -> Vec<Says> {
    let items = match stated {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    };
    let one = |item: &Value| match element {
        "actor" => actor_says(consent, item, world),
        "action" => concept_says(item, |(_, code)| match code {
            "access" | "correct" => {
                if code == world.action {
                    Yes
                } else {
                    No
                }
            }
            _ => Never,
        }),
        "purpose" => in_list((text(item, "system"), text(item, "code")), &world.requester.purposes, Unclear),
        "securityLabel" => label_says(item, effect, world),
        "class" => class_says(item, world),
        "code" => concept_says(item, |rule| in_list(rule, &world.facts.codes, No)),
        "dataPeriod" => match (period(item), &world.facts.period) {
            (None, _) => Never,
            (_, None) => Unclear,
            (Some((start, end)), Some(own)) => {
                let inside = start <= own.start && own.end <= end;
                let touching = start < own.end && own.start < end;
                if if effect == "permit" { inside } else { touching } { Yes } else { No }
            }
        },
        "data" => data_says(consent, item, world),
        _ => unreachable!(),
    };
    if element == "purpose" && effect == "permit" {
        return vec![all_purposes(&items, &world.requester.purposes)];
    }
    items.into_iter().map(one).collect()
}

/// Every purpose claimed must be covered, but for those that a narrower claim makes superfluous.
fn all_purposes(items: &[&Value], claims: &[Code]) -> Says {
    for claim in claims {
        let covered = items.iter().any(|item| {
            let rule = (text(item, "system"), text(item, "code"));
            !rule.0.is_empty() && covers(rule, pair(claim))
        });
        if !covered && !claims.iter().any(|other| narrower(pair(claim), pair(other))) {
            return No;
        }
    }
    if claims.is_empty() { No } else { Yes }
}

const ON_REQUEST: &[&str] = &["actor", "action", "purpose"];
const ON_DATA: &[&str] = &["securityLabel", "class", "code", "dataPeriod", "data"];

fn effect_of(provision: &Value) -> &str {
    if text(provision, "type") == "permit" { "permit" } else { "deny" }
}

/// Whether the last provision of a chain (root first) applies, as far as these elements go.
fn applies(
    consent: &Value,
    chain: &[&Value],
    effect: &str,
    elements: &[&str],
    with_period: bool,
    world: &World<'_>,
) -> bool {
    let own = chain.last().unwrap();
    if strange(own, OF_PROVISION) {
        return effect == "deny";
    }
    if let (true, true, Some(stated)) = (with_period, chain.len() > 1, own.get("period")) {
        match period(stated) {
            Some((start, end)) if !(start <= world.at && world.at < end) => return false,
            None if effect == "permit" => return false,
            _ => {}
        }
    }
    elements.iter().all(|element| {
        let stated = match effect {
            "permit" => chain.iter().rev().find_map(|provision| provision.get(element)),
            _ => own.get(element),
        };
        let Some(stated) = stated else { return true };
        let says = element_says(consent, element, stated, effect, world);
        match effect {
            "permit" => says.contains(&Yes),
            _ => says.is_empty() || says.iter().any(|says| *says != No),
        }
    })
}

fn applies_wholly(consent: &Value, chain: &[&Value], effect: &str, world: &World<'_>) -> bool {
    applies(consent, chain, effect, ON_REQUEST, true, world)
        && applies(consent, chain, effect, ON_DATA, false, world)
}

/// The effect of the exceptions to the last provision of a chain.
fn exceptions<'a>(
    consent: &Value,
    chain: &[&'a Value],
    denies_only: bool,
    world: &World<'_>,
) -> Option<&'static str> {
    let parent: &'a Value = chain.last().unwrap();
    let mut found = Vec::new();
    for exception in list(parent, "provision") {
        let effect = effect_of(exception);
        let chain: Vec<&Value> = chain.iter().copied().chain([exception]).collect();
        let lost = strange(parent, OF_PROVISION) && effect == "permit";
        if lost || (denies_only && effect == "permit") || !applies_wholly(consent, &chain, effect, world) {
            continue;
        }
        let own = if effect == "permit" { "permit" } else { "deny" };
        found.push(exceptions(consent, &chain, denies_only, world).unwrap_or(own));
    }
    ["deny", "permit"].into_iter().find(|effect| found.contains(effect))
}

/// Every "not verified" must be followed by a "verified".
fn verified(consent: &Value) -> bool {
    let all = list(consent, "verification");
    let is = |own: &Value| own.get("verified") == Some(&Value::Bool(true));
    let day = |own: &Value| date(text(own, "verificationDate"));
    all.iter().all(|no| {
        is(no)
            || all.iter().any(|yes| is(yes) && day(no).zip(day(yes)).is_some_and(|(no, yes)| no.1 <= yes.0))
    })
}

/// The eighteenth birthday of somebody born on the first, and on the last, day that the text may mean.
fn eighteenth(born: &str) -> (Timestamp, Timestamp) {
    let Some((first, after)) = date(born) else { return (Timestamp::MIN, Timestamp::MAX) };
    let utc = jiff::tz::TimeZone::UTC;
    let day = |at: Timestamp| at.to_zoned(utc.clone()).date();
    let birthday = |day: jiff::civil::Date| (day + 18.years()).to_zoned(utc.clone()).unwrap().timestamp();
    (birthday(day(first)), birthday(day(after).yesterday().unwrap()))
}

/// Whether the resource is labelled for purposes that do not cover those claimed.
fn purposes_conflict(world: &World<'_>) -> bool {
    let labels = world.facts.labels.iter().map(pair);
    let tags: Vec<_> = labels.filter(|(system, code)| *system == REASON && *code != "HTEST").collect();
    let claims = &world.requester.purposes;
    let all = claims.iter().all(|claim| {
        tags.iter().any(|tag| covers(*tag, pair(claim)))
            || claims.iter().any(|other| narrower(pair(claim), pair(other)))
    });
    !tags.is_empty() && (claims.is_empty() || !all)
}

/// What one consent says: `silent`, `elsewhere`, `withheld`, `permit`, `deny`; and whether it speaks about the
/// request.
fn verdict(consent: &Value, world: &World<'_>) -> (&'static str, bool) {
    let status = text(consent, "status");
    let scopes = consent.get("scope").map(concept).unwrap_or_default();
    let scopes: Vec<_> = scopes
        .iter()
        .filter(|(system, _)| system.ends_with("/consentscope"))
        .map(|(_, code)| *code)
        .collect();
    let parts = list(consent, "policy").into_iter().chain(list(consent, "verification"));
    let strange_part = parts.into_iter().any(|part| part.get("modifierExtension").is_some());
    let unclear = strange(consent, OF_CONSENT) || strange_part;
    if !unclear && ["draft", "proposed", "rejected", "inactive", "entered-in-error"].contains(&status) {
        return ("silent", false);
    }
    let undecidable = unclear || status != "active";
    let elsewhere = matches!(scopes.first(), Some(&("adr" | "research" | "treatment")));
    if !undecidable && !scopes.contains(&"patient-privacy") && elsewhere {
        return ("silent", false);
    }
    let undecidable = undecidable || !scopes.contains(&"patient-privacy");

    let nothing = json!({});
    let root = consent.get("provision").unwrap_or(&nothing);
    let mut doubtful = date(text(consent, "dateTime")).is_some_and(|(start, _)| start > world.at);
    doubtful |= !verified(consent);
    if let Some((from, until)) = world.born.map(eighteenth) {
        let given = date(text(consent, "dateTime")).map_or(Timestamp::MIN, |(start, _)| start);
        doubtful |= from <= world.at && given < until;
    }
    if let Some(stated) = root.get("period") {
        match period(stated) {
            None => doubtful = true,
            Some((start, end)) if !(start <= world.at && world.at < end) => return ("silent", false),
            Some(_) => {}
        }
    }
    let rules: Vec<&str> = consent
        .get("policyRule")
        .map(concept)
        .unwrap_or_default()
        .into_iter()
        .filter(|(system, code)| *system == ACT && (code.starts_with("OPTIN") || code.starts_with("OPTOUT")))
        .map(|(_, code)| code)
        .collect();
    let base = match (root.get("type").and_then(Value::as_str), rules.as_slice()) {
        (Some("permit"), _) => "permit",
        (Some("deny"), _) => "deny",
        (Some(_), _) | (None, []) => "none",
        (None, ["OPTINR"]) if root.as_object().unwrap().is_empty() => "none",
        (None, [one]) => {
            if one.starts_with("OPTIN") {
                "permit"
            } else {
                "deny"
            }
        }
        (None, _) => "none",
    };
    if undecidable || base == "none" || strange(root, OF_PROVISION) {
        return ("deny", true);
    }
    let chain = [root];
    let addressed = applies(consent, &chain, base, ON_REQUEST, false, world)
        || list(root, "provision").into_iter().any(|exception| {
            let effect = effect_of(exception);
            (base == "deny" || effect == "permit")
                && applies(consent, &[root, exception], effect, ON_REQUEST, true, world)
        });
    if base == "permit" && !addressed {
        return ("elsewhere", false);
    }
    let found = exceptions(consent, &chain, doubtful && base == "deny", world);
    let says = match found {
        Some(effect) => effect,
        None if applies_wholly(consent, &chain, base, world) => base,
        None => {
            if base == "permit" {
                "withheld"
            } else {
                "silent"
            }
        }
    };
    (if doubtful && says == "permit" { "withheld" } else { says }, addressed)
}

/// What consents say about a resource.
pub(super) fn reference(consents: &[Value], combining: Combining, world: &World<'_>) -> Outcome {
    let all: Vec<_> = consents.iter().map(|consent| (consent, verdict(consent, world))).collect();
    let elsewhere = all.iter().any(|(_, (says, _))| *says == "elsewhere");
    let taking_part: Vec<&str> = all
        .iter()
        .filter(|(consent, (_, addressed))| match combining {
            Combining::DenyOverrides => true,
            Combining::RefuseAmbiguous => *addressed,
            Combining::MostRecent => {
                let dated = |consent: &Value| date(text(consent, "dateTime"));
                let newer = |(other, (_, speaks)): &&(&Value, (&str, bool))| {
                    *speaks && dated(other).zip(dated(consent)).is_some_and(|(theirs, own)| theirs.0 >= own.1)
                };
                *addressed && !all.iter().any(|other| newer(&other))
            }
        })
        .map(|(_, (says, _))| *says)
        .collect();
    let has = |says: &str| taking_part.contains(&says);
    let agree = combining != Combining::DenyOverrides;
    if has("deny") || (agree && has("withheld")) || (has("permit") && purposes_conflict(world)) {
        Outcome::Deny
    } else if has("permit") {
        Outcome::Permit
    } else if has("withheld") || elsewhere {
        Outcome::Deny
    } else {
        Outcome::NoConsent
    }
}
