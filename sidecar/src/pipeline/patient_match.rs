//! `Patient/$match` (FHIR R4, operation `Patient-match`; IHE PDQm ITI-119).
//!
//! Candidates come from the hospital's server by exact searches that are built from the closed type: by the
//! identifiers in every spelling of their systems, by date of birth with family name, and with given name. They pass the
//! same judgements as the matches of a search, and are compared by what the caller gets to see of them.
//! `core::identity` grades them.
//!
//! Invariants: grades, scores, order and number are those of a world without the hidden patients; nothing is merged, and
//! of two that may be meant none is picked.

use std::collections::BTreeSet;

use bytes::Bytes;
use fhir_models::document::{JsonWriter, Limits, OwnedDocument, Value, name};
use http::StatusCode;
use varco_core::identity::{
    AliasError, AliasGroup, IdentifierAliases, MatchGrade, MatchScore, Matcher, Person, RegionCode,
    italian_groups, regional_groups,
};
use varco_core::interaction::{Criterion, PatientMatch, ResourceType, Search};
use varco_core::outcome::{Issue, IssueSeverity, IssueType, Outcome};

use super::answer::Answer;
use super::exchange::Exchange;
use super::search::{Match, gather};
use super::{Refusal, map};
use crate::config::Config;

/// The extension that holds a grade.
const MATCH_GRADE: &str = "http://hl7.org/fhir/StructureDefinition/match-grade";
/// Most identifiers, and most names, that candidates are looked for by.
const MOST_KEYS: usize = 8;
/// Most matches of one answer.
const MOST_MATCHES: u32 = 100;
/// Most bytes of the request that its audit record holds.
const MOST_RECORDED: usize = 16 << 10;

/// How records of people are compared at this hospital.
pub(super) struct Matching {
    aliases: IdentifierAliases,
    matcher: Matcher,
}

impl Matching {
    /// The configured names of identifier systems join the Italian ones, under the canonical names of the latter.
    pub fn new(config: &Config) -> Result<Matching, AliasError> {
        let mut groups: Vec<AliasGroup> =
            italian_groups().into_iter().chain(regional_groups(RegionCode::LOMBARDY)).collect();
        for alias in &config.identity.alias {
            let mut names: Vec<String> =
                [&alias.local, &alias.network].into_iter().chain(&alias.also).cloned().collect();
            let has =
                |group: &AliasGroup, name: &String| group.canonical == *name || group.aliases.contains(name);
            let home = groups.iter().position(|group| names.iter().any(|name| has(group, name)));
            names.retain(|name| !groups.iter().any(|group| has(group, name)));
            match home.and_then(|at| groups.get_mut(at)) {
                Some(group) => group.aliases.append(&mut names),
                None => {
                    groups.push(AliasGroup { canonical: alias.local.clone(), aliases: names.split_off(1) })
                }
            }
        }
        Ok(Matching { aliases: IdentifierAliases::new(groups)?, matcher: Matcher::default() })
    }

    /// All names of a system, the given one first.
    fn spellings<'s>(&'s self, system: &'s str) -> Vec<&'s str> {
        let canonical = self.aliases.canonical(system);
        let group = self.aliases.groups().iter().find(|group| group.canonical == canonical);
        let known =
            group.into_iter().flat_map(|group| std::iter::once(&group.canonical).chain(&group.aliases));
        let others = known.map(String::as_str).filter(|other| *other != system);
        std::iter::once(system).chain(others).collect()
    }
}

/// Finds a person.
pub(super) async fn patient_match(
    exchange: &mut Exchange<'_>,
    mut asked: PatientMatch,
    resource_type: ResourceType,
    body: Bytes,
) -> Result<Answer, Refusal> {
    let gateway = exchange.gateway;
    let limits = Limits { bytes: gateway.config.limits.body_bytes, ..Limits::default() };
    let document = OwnedDocument::parse_json(&*body, &limits)
        .map_err(|error| Refusal::Body { text: format!("{error}."), too_large: error.is_limit() })?;
    let patient = asked.take_body(document.root()).map_err(Refusal::Interaction)?;
    exchange.account.matched = Some(recorded(&body));
    let matching = &gateway.matching;
    let probe = Person::of(patient, &matching.aliases);
    let searches = searches(exchange, &resource_type, patient);
    let advice = searches.is_empty().then_some(TOO_LITTLE);
    let candidates = candidates(exchange, searches).await?;

    let people: Vec<Person> =
        candidates.iter().map(|(_, document)| Person::of(document.root(), &matching.aliases)).collect();
    let keyed = || people.iter().zip(0_usize..);
    let count = usize::try_from(asked.count.unwrap_or(MOST_MATCHES).min(MOST_MATCHES)).unwrap_or_default();
    let ranked = matching.matcher.rank(&probe, keyed(), asked.only_certain, count);
    let certain = || {
        let all = matching.matcher.rank(&probe, keyed(), false, usize::MAX);
        all.iter().filter(|(_, score)| score.grade == MatchGrade::Certain).count()
    };
    let ambiguous = asked.only_certain && ranked.is_empty() && certain() > 1;
    let advice = advice.or(ambiguous.then_some(AMBIGUOUS));

    let mut entries = Vec::new();
    for (at, score) in ranked {
        let Some((found, _)) = candidates.get(at) else { continue };
        entries.push((found, score));
    }
    exchange.inspect_response(entries.iter().map(|(found, _)| &*found.json)).await?;
    for (found, _) in &entries {
        exchange.release(found.reference.clone(), found.judgement.clone());
    }
    let bundle = bundle(&entries, advice, gateway.config.site.base());
    Ok(Answer::fhir(StatusCode::OK, map::with_left_out(bundle, exchange.account.left_out)))
}

const TOO_LITTLE: (IssueType, &str) = (
    IssueType::Incomplete,
    "Nobody can be looked for by what was sent: give an identifier, or a date of birth with a name.",
);
const AMBIGUOUS: (IssueType, &str) = (
    IssueType::MultipleMatches,
    "More than one person is meant for certain; ask without onlyCertainMatches to see them.",
);

/// The request as its audit record holds it.
fn recorded(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let end = (0..=MOST_RECORDED.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or_default()).unwrap_or_default().to_owned()
}

/// The searches that candidates come from. A value that a search can't express gives none.
fn searches(exchange: &Exchange<'_>, resource_type: &ResourceType, patient: Value<'_>) -> Vec<Search> {
    let schema = &exchange.gateway.schema;
    let criterion = |name: &str, value: &str| Criterion::parse(schema, resource_type, name, value).ok();
    let mut searches = Vec::new();
    let mut add = |criteria: Option<Vec<Criterion>>| {
        if let Some(criteria) = criteria {
            searches.push(Search { criteria, ..Search::all(resource_type.clone()) });
        }
    };
    let items = |of| patient.get(of).into_iter().flat_map(Value::items).take(MOST_KEYS);
    for identifier in items(name::IDENTIFIER) {
        let (system, value) = (identifier.str_of(name::SYSTEM), identifier.str_of(name::VALUE));
        let (Some(system), Some(value)) = (system, value) else { continue };
        let value = value.trim();
        if system.is_empty() || value.is_empty() {
            continue;
        }
        let spellings = exchange.gateway.matching.spellings(&system);
        let tokens: Vec<String> =
            spellings.iter().map(|system| format!("{}|{}", escaped(system), escaped(value))).collect();
        add(criterion("identifier", &tokens.join(",")).map(|one| vec![one]));
    }
    let born = patient.str_of(name::BIRTH_DATE).and_then(|date| criterion("birthdate", &date));
    let Some(born) = born else { return searches };
    let (mut families, mut givens) = (BTreeSet::new(), BTreeSet::new());
    for name in items(name::NAME) {
        families.extend(name.str_of(name::FAMILY).map(|it| it.trim().to_owned()));
        let first = name.get(name::GIVEN).into_iter().flat_map(Value::items).next().and_then(Value::as_str);
        givens.extend(first.map(|it| it.trim().to_owned()));
    }
    for (parameter, names) in [("family", families), ("given", givens)] {
        for name in names.iter().filter(|name| !name.is_empty()) {
            add(criterion(parameter, &escaped(name)).map(|one| vec![born.clone(), one]));
        }
    }
    searches
}

/// A value with the characters escaped that separate values (FHIR R4 §3.1.1.4.0.1).
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for one in value.chars() {
        if matches!(one, '\\' | '|' | ',' | '$') {
            out.push('\\');
        }
        out.push(one);
    }
    out
}

/// The patients that the caller may see, each once, as the caller gets them.
async fn candidates(
    exchange: &mut Exchange<'_>,
    searches: Vec<Search>,
) -> Result<Vec<(Match, OwnedDocument)>, Refusal> {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut candidates = Vec::new();
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    for search in searches {
        for found in gather(exchange, &search).await? {
            if known.insert(found.reference.clone()) {
                let document = OwnedDocument::parse_json(&*found.json, &limits);
                candidates.push((found, document.map_err(|_| Refusal::Internal)?));
            }
        }
    }
    // The order in which a server answers says nothing: ties are told by id.
    candidates.sort_by(|(one, _), (other, _)| one.reference.cmp(&other.reference));
    Ok(candidates)
}

/// The matches, best first, each with its score and grade.
fn bundle(entries: &[(&Match, MatchScore)], advice: Option<(IssueType, &str)>, base: &str) -> Vec<u8> {
    let mut json = JsonWriter::new();
    json.begin_object().member("resourceType", "Bundle").member("type", "searchset");
    json.key("total").integer(i64::try_from(entries.len()).unwrap_or(i64::MAX));
    if !entries.is_empty() || advice.is_some() {
        json.key("entry").begin_array();
    }
    for (found, score) in entries {
        json.begin_object().member("fullUrl", &format!("{base}/{}", found.reference));
        json.key("resource").raw(&found.json).key("search").begin_object();
        json.key("extension").begin_array().begin_object().member("url", MATCH_GRADE);
        json.member("valueCode", score.grade.as_str()).end_object().end_array();
        json.member("mode", "match").key("score").raw(format!("{:.4}", score.score).as_bytes());
        json.end_object().end_object();
    }
    if let Some((code, text)) = advice {
        let outcome = Outcome::from(Issue::new(IssueSeverity::Warning, code, text)).to_json();
        json.begin_object().key("resource").raw(&outcome);
        json.key("search").begin_object().member("mode", "outcome").end_object().end_object();
    }
    if !entries.is_empty() || advice.is_some() {
        json.end_array();
    }
    json.end_object();
    json.into_bytes()
}
