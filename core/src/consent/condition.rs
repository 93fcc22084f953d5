//! The conditions of a provision, each a small value that answers yes, no or undecided.
//!
//! Invariant: a condition is undecided where the question lacks what it would take to compare. What that
//! means is settled in one place, [`Match::holds`]: a permit needs a yes, a deny is kept off by a no alone.

use super::subsumption::{ACT_REASON, CONFIDENTIALITY, is_broader};
use super::{Action, Confidentiality, Effect, Interval, LiteralReference, Party, Question, ResourceFacts};
use crate::requester::{BusinessIdentifier, Code};

/// An answer of three values. Ordered, so that "any of" is the greatest and "all of" the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Match {
    /// It does not match.
    No,
    /// It can't be told.
    Undecided,
    /// It matches.
    Yes,
}

impl Match {
    /// Whether a condition with this answer holds for a provision with this effect: what can't be told
    /// restricts.
    pub fn holds(self, effect: Effect) -> bool {
        match effect {
            Effect::Permit => self == Match::Yes,
            Effect::Deny => self != Match::No,
        }
    }

    fn of(yes: bool) -> Match {
        if yes { Match::Yes } else { Match::No }
    }

    /// Evidence from several comparisons of the same two things: a yes counts, then a no.
    fn evidence(found: impl IntoIterator<Item = Match>) -> Match {
        found.into_iter().fold(Match::Undecided, |best, next| match (best, next) {
            (Match::Yes, _) | (_, Match::Yes) => Match::Yes,
            (Match::No, _) | (_, Match::No) => Match::No,
            _ => Match::Undecided,
        })
    }
}

/// The greatest answer; `No` for none.
fn any(found: impl IntoIterator<Item = Match>) -> Match {
    let mut best = Match::No;
    for next in found {
        if next == Match::Yes {
            return next;
        }
        best = best.max(next);
    }
    best
}

/// A code and the narrower ones that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodeTest {
    pub code: Code,
    pub narrower: &'static [&'static str],
}

impl CodeTest {
    fn covers(&self, candidate: &Code) -> bool {
        (self.code.code == candidate.code || self.narrower.contains(&candidate.code.as_str()))
            && self.code.system == candidate.system
    }
}

/// Whether one of the tests is met by one of the codes. A code is comparable with codes of its own system
/// only: where there are codes, but none of that system, the answer is undecided.
fn found(tests: &[CodeTest], codes: &[Code], none: Match) -> Match {
    if codes.is_empty() && !tests.is_empty() {
        return none;
    }
    any(tests.iter().map(|test| {
        if codes.iter().any(|code| test.covers(code)) {
            Match::Yes
        } else if codes.iter().any(|code| code.system == test.code.system) {
            Match::No
        } else {
            Match::Undecided
        }
    }))
}

/// A deny is met by any purpose that the request claims; a permit must cover all of them. A claim that only
/// repeats a narrower one (TREAT beside BTG) adds nothing. A request without a purpose is undecided.
pub(super) fn purposes(tests: &[CodeTest], claims: &[Code], effect: Effect) -> Match {
    if effect == Effect::Deny {
        return found(tests, claims, Match::Undecided);
    }
    let covered = |claim: &Code| {
        tests.iter().any(|test| test.covers(claim)) || claims.iter().any(|other| is_broader(claim, other))
    };
    if claims.is_empty() {
        return Match::Undecided;
    }
    Match::of(claims.iter().all(covered))
}

/// Whether data is labelled with purposes of use that do not cover the purposes claimed (FHIR R4 §6.2 `purpose`:
/// "when the purpose of use tag is on the data, access request purpose of use shall not conflict"). `HTEST` only
/// marks test data.
pub(super) fn purposes_conflict(claims: &[Code], labels: &[Code]) -> bool {
    let mut tags =
        labels.iter().filter(|label| label.system == ACT_REASON && label.code != "HTEST").peekable();
    if tags.peek().is_none() {
        return false;
    }
    let tags: Vec<&Code> = tags.collect();
    let covered = |claim: &Code| {
        tags.iter().any(|tag| *tag == claim || is_broader(tag, claim))
            || claims.iter().any(|other| is_broader(claim, other))
    };
    claims.is_empty() || !claims.iter().all(covered)
}

pub(super) fn actions(listed: &[Action], action: Action) -> Match {
    Match::of(listed.contains(&action))
}

/// How an actor takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RoleTest {
    /// As a recipient of information: no condition on the person's functional role.
    Recipient,
    /// In one of these functional roles.
    Functional(Vec<CodeTest>),
}

/// Who is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WhoTest {
    /// Whoever has the role.
    Anyone,
    /// One party. `kind` is its resource type, where stated.
    Party { party: Party, kind: Option<Box<str>> },
}

/// One `actor` of a provision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActorTest {
    pub role: RoleTest,
    pub who: WhoTest,
}

impl ActorTest {
    fn matches(&self, question: &Question<'_>) -> Match {
        let role = match &self.role {
            RoleTest::Recipient => Match::Yes,
            RoleTest::Functional(codes) => found(codes, &question.requester.roles, Match::Undecided),
        };
        if role == Match::No {
            return role;
        }
        role.min(match &self.who {
            WhoTest::Anyone => Match::Yes,
            WhoTest::Party { party, kind } => is_requester(party, kind.as_deref(), question),
        })
    }
}

pub(super) fn actors(tests: &[ActorTest], question: &Question<'_>) -> Match {
    any(tests.iter().map(|test| test.matches(question)))
}

fn is_requester(party: &Party, kind: Option<&str>, question: &Question<'_>) -> Match {
    let literal = party.reference.as_ref().map(|reference| {
        let mut alike =
            question.known_as.iter().filter(|known| known.resource_type() == reference.resource_type());
        match alike.next() {
            None => Match::Undecided,
            Some(first) => any(std::iter::once(first).chain(alike).map(|known| reference.same(known))),
        }
    });
    let (person, organization) = match kind {
        None => (true, true),
        Some("Organization") => (false, true),
        Some("Practitioner" | "Patient" | "RelatedPerson" | "Person") => (true, false),
        Some(_) => (false, false),
    };
    let own = question.requester.subject.iter().filter(|_| person);
    let own = own.chain(question.requester.organizations.iter().filter(|_| organization));
    let logical = (!party.identifiers.is_empty()).then(|| same_identifier(&party.identifiers, own));
    Match::evidence(literal.into_iter().chain(logical))
}

/// Identifiers are comparable within one namespace only.
fn same_identifier<'a>(
    wanted: &[BusinessIdentifier],
    found: impl Iterator<Item = &'a BusinessIdentifier> + Clone,
) -> Match {
    let in_one_namespace = |identifier: &BusinessIdentifier| {
        found
            .clone()
            .filter(|own| !own.system.is_empty() && own.system == identifier.system)
            .fold(Match::Undecided, |best, own| {
                Match::evidence([best, Match::of(own.value == identifier.value)])
            })
    };
    Match::evidence(wanted.iter().map(in_one_namespace))
}

/// One `securityLabel`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LabelTest {
    /// A high-water mark.
    Level(Confidentiality),
    /// Any other label.
    Code(CodeTest),
}

/// A permit covers its level and below, a deny its level and above (FHIR R4 §6.2 `securityLabel`; IHE PCF).
/// A resource without a level is undecided; a broad label on it may hide the narrow one that is asked for.
pub(super) fn labels(tests: &[LabelTest], labels: &[Code], effect: Effect) -> Match {
    any(tests.iter().map(|test| match test {
        LabelTest::Level(mark) => level(*mark, labels, effect),
        LabelTest::Code(test) => any(labels.iter().map(|label| {
            if test.covers(label) {
                Match::Yes
            } else if is_broader(label, &test.code)
                || (label.system.is_empty() && label.code == test.code.code)
            {
                Match::Undecided
            } else {
                Match::No
            }
        })),
    }))
}

fn level(mark: Confidentiality, labels: &[Code], effect: Effect) -> Match {
    let mut highest = None;
    let mut strange = false;
    for label in labels.iter().filter(|label| label.system == CONFIDENTIALITY) {
        match Confidentiality::of_code(&label.code) {
            Some(level) => highest = highest.max(Some(level)),
            None => strange = true,
        }
    }
    match (effect, highest) {
        (Effect::Permit, Some(level)) if !strange => Match::of(level <= mark),
        (Effect::Deny, Some(level)) if level >= mark => Match::Yes,
        (Effect::Deny, Some(_)) if !strange => Match::No,
        _ => Match::Undecided,
    }
}

/// One `class`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ClassTest {
    /// A resource type.
    Type(Box<str>),
    /// A profile, by canonical URL.
    Profile(Box<str>),
    /// A document type, media type or other class.
    Code(CodeTest),
}

/// A resource belongs to the types, profiles and classes that it states (FHIR R4 §6.2 `class`).
pub(super) fn classes(tests: &[ClassTest], facts: &ResourceFacts) -> Match {
    any(tests.iter().map(|test| match test {
        ClassTest::Type(kind) => Match::of(match &**kind {
            "Resource" => true,
            "DomainResource" => !matches!(facts.resource_type.as_str(), "Bundle" | "Binary" | "Parameters"),
            kind => kind == facts.resource_type,
        }),
        ClassTest::Profile(canonical) => Match::of(facts.profiles.iter().any(|own| claims(own, canonical))),
        ClassTest::Code(test) => found(std::slice::from_ref(test), &facts.classes, Match::No),
    }))
}

/// A canonical without a version means every version.
fn claims(own: &str, canonical: &str) -> bool {
    own == canonical || own.split_once('|').is_some_and(|(url, _)| url == canonical)
}

/// "If this code is found in an instance, then the rule applies" (FHIR R4 §6.2 `code`).
pub(super) fn codes(tests: &[CodeTest], facts: &ResourceFacts) -> Match {
    found(tests, &facts.codes, Match::No)
}

/// A permit covers data that lies in the period, a deny all that touches it.
pub(super) fn data_period(period: &Interval, facts: &ResourceFacts, effect: Effect) -> Match {
    match (&facts.period, effect) {
        (None, _) => Match::Undecided,
        (Some(own), Effect::Permit) => Match::of(period.covers(own)),
        (Some(own), Effect::Deny) => Match::of(period.overlaps(own)),
    }
}

/// `http://hl7.org/fhir/consent-data-meaning`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataMeaning {
    /// The resource itself.
    Instance,
    /// The resource, those it refers to, and those made in its context.
    Related,
    /// The resource and those that refer to it.
    Dependents,
    /// What this party has written.
    AuthoredBy,
}

impl DataMeaning {
    /// The code on the wire.
    pub fn code(self) -> &'static str {
        match self {
            DataMeaning::Instance => "instance",
            DataMeaning::Related => "related",
            DataMeaning::Dependents => "dependents",
            DataMeaning::AuthoredBy => "authoredby",
        }
    }

    pub(super) fn of_code(code: &str) -> Option<DataMeaning> {
        [DataMeaning::Instance, DataMeaning::Related, DataMeaning::Dependents, DataMeaning::AuthoredBy]
            .into_iter()
            .find(|meaning| meaning.code() == code)
    }
}

/// One `data` of a provision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DataTest {
    pub meaning: DataMeaning,
    pub party: Party,
}

pub(super) fn data(tests: &[DataTest], facts: &ResourceFacts) -> Match {
    any(tests.iter().map(|test| test.matches(facts)))
}

impl DataTest {
    fn matches(&self, facts: &ResourceFacts) -> Match {
        match self.meaning {
            DataMeaning::Instance => self.is(facts),
            DataMeaning::Dependents => self.is(facts).max(self.is_among(&facts.references)),
            DataMeaning::Related => {
                self.is(facts).max(self.is_among(&facts.references)).max(self.refers_to(facts))
            }
            DataMeaning::AuthoredBy => match &facts.authors {
                None => Match::Undecided,
                Some(authors) => any(authors.iter().map(|author| self.is_party(author))),
            },
        }
    }

    /// A resource that has no id yet is none that a consent could name by reference.
    fn is(&self, facts: &ResourceFacts) -> Match {
        let literal = self.party.reference.as_ref();
        let literal =
            literal.map(|wanted| facts.reference.as_ref().map_or(Match::No, |own| wanted.same(own)));
        let logical = (!self.party.identifiers.is_empty())
            .then(|| same_identifier(&self.party.identifiers, facts.identifiers.iter()));
        Match::evidence(literal.into_iter().chain(logical))
    }

    fn is_among(&self, references: &[LiteralReference]) -> Match {
        match &self.party.reference {
            Some(wanted) => any(references.iter().map(|reference| wanted.same(reference))),
            None => Match::Undecided,
        }
    }

    /// Encounters, care plans and episodes are contexts: what belongs to them refers to them (IHE PCF), and
    /// what they refer to is not asked. Of any other resource, what it refers to is known to its readers only.
    fn refers_to(&self, facts: &ResourceFacts) -> Match {
        let kind = self.party.reference.as_ref().and_then(LiteralReference::resource_type);
        match (kind, &facts.referred_by) {
            (Some("Encounter" | "CarePlan" | "EpisodeOfCare"), None) => Match::No,
            (_, None) => Match::Undecided,
            (_, Some(referring)) => self.is_among(referring),
        }
    }

    fn is_party(&self, author: &Party) -> Match {
        let literal = self.party.reference.as_ref().zip(author.reference.as_ref()).map(|(a, b)| a.same(b));
        let both = !self.party.identifiers.is_empty() && !author.identifiers.is_empty();
        let logical = both.then(|| same_identifier(&self.party.identifiers, author.identifiers.iter()));
        Match::evidence(literal.into_iter().chain(logical))
    }
}
